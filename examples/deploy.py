"""Classifies images on a board: NumPy, LiteRT and the delegate; no TensorFlow.

    pip install 'keras-sparsebnn[device]'
    python deploy.py model.tflite cat.ppm more.npy --labels labels.txt

Images are .pgm and .ppm files, .npy arrays ([H, W], [H, W, C] or [N, H, W, C]), or whatever
Pillow reads, if it is installed. Integers 0..255 become [-1, 1], as this package trains; floats
are taken as they are. The size has to be the model's.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

import numpy as np

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import Interpreter, TensorInfo


def read_netpbm(path: Path) -> np.ndarray:
    """A binary .pgm or .ppm: "P5" or "P6", width, height, 255, then the bytes."""
    data = path.read_bytes()
    # A comment ends with its line, so that there is one way to read a header of many.
    header = re.match(rb"P([56])\s+(?:#[^\n]*\n\s*)*(\d{1,5})\s+(\d{1,5})\s+255\s", data)
    if not header:
        raise SparseBNNError(
            f"Expected a binary PGM or PPM of 8 bits, got something else ({path})."
        )
    width, height, channels = int(header[2]), int(header[3]), 1 if header[1] == b"5" else 3
    if len(data) - header.end() < width * height * channels:
        raise SparseBNNError(f"Expected {width}x{height} pixels, got fewer bytes ({path}).")
    pixels = np.frombuffer(data, np.uint8, width * height * channels, header.end())
    return pixels.reshape(height, width, channels)


def read_images(path: Path) -> np.ndarray:
    """`[N, H, W, C]`, of the type that the file has."""
    if path.suffix == ".npy":
        try:
            images = np.load(path, allow_pickle=False)
        except (EOFError, MemoryError, SyntaxError, ValueError) as error:
            raise SparseBNNError(f"Expected a NumPy array, got: {error} ({path}).") from error
    elif path.suffix in (".pgm", ".ppm"):
        images = read_netpbm(path)
    else:
        try:
            from PIL import Image
        except ImportError as error:
            raise SparseBNNError(
                f"Expected a .npy, .pgm or .ppm file, got {path}. Run: pip install pillow"
            ) from error
        try:
            with Image.open(path) as image:
                images = np.asarray(image)
        except Exception as error:  # Pillow has many types for damaged files and for bombs
            raise SparseBNNError(f"Expected an image, got: {error} ({path}).") from error
    if not isinstance(images, np.ndarray) or images.ndim not in (2, 3, 4):
        raise SparseBNNError(f"Expected [H, W], [H, W, C] or [N, H, W, C], got {path}.")
    if images.dtype.kind not in "buif":  # booleans, integers and floats
        raise SparseBNNError(f"Expected numbers, got {images.dtype} ({path}).")
    if images.ndim == 2:
        images = images[..., np.newaxis]
    return images if images.ndim == 4 else images[np.newaxis]


def to_input(images: np.ndarray, tensor: TensorInfo) -> np.ndarray:
    """The images as the model takes them."""
    if np.issubdtype(images.dtype, np.integer):
        images = images / np.float32(127.5) - 1
    if tensor.scale is not None:  # a quantised input: q = x / scale + zero point
        limits = np.iinfo(tensor.dtype)
        images = np.clip(
            np.round(images / tensor.scale) + tensor.zero_point, limits.min, limits.max
        )
    return images.astype(tensor.dtype)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--labels", type=Path, help="names of the classes, one a line")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    try:
        names = args.labels.read_text("utf-8").splitlines() if args.labels else None
        interpreter = Interpreter(args.model, num_threads=args.threads)
        print(f"{args.model} in {interpreter.runtime}", file=sys.stderr)
        for path in args.images:
            inputs = to_input(read_images(path), interpreter.inputs[0])
            start = time.perf_counter()
            scores = interpreter.predict(inputs)
            milliseconds = (time.perf_counter() - start) * 1e3 / max(len(inputs), 1)
            for index, best in enumerate(scores.argmax(axis=-1)):
                name = names[best] if names and best < len(names) else best
                print(f"{path}[{index}]: {name} ({milliseconds:.2f} ms an image)")
    except (SparseBNNError, OSError, ValueError) as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
