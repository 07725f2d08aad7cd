"""What the app ships: the package's trained models with test images, and peers of one of them.

    python -m android_demo.tools.assets [ASSETS] [--runs build/android/runs] [--epochs 5]

Writes to ASSETS (build/android/assets) the files of each of `keras_sparsebnn.pretrained`: 1 bit
(LCE), sub-bit, and sub-bit with its other weights in int8. For the network of digits there are
two more, to be compared with: float32 and int8 throughout. These are trained here, in seconds,
and not again if the run is there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import struct
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from android_demo.tools import BUILD

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from keras_sparsebnn import pretrained

PEERS_OF = "digits"
RANGE = [-1, 1]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("assets", nargs="?", type=Path, default=BUILD / "assets")
    parser.add_argument(
        "--runs", type=Path, default=BUILD / "runs", help="gets the float network's training"
    )
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args(argv)

    from keras_sparsebnn.cli.process import import_keras
    from keras_sparsebnn.errors import SparseBNNError

    try:
        import_keras()
        make_assets(args.assets, args.runs, args.epochs)
    except (SparseBNNError, OSError, ImportError) as error:
        print(f"assets: {error}", file=sys.stderr)
        return 2
    return 0


def make_assets(assets: Path, runs: Path, epochs: int) -> None:
    """Trains and measures what the package does not have, and writes all files."""
    from keras_sparsebnn import pretrained

    for folder in ("models", "samples"):  # of an older version
        shutil.rmtree(assets / folder, ignore_errors=True)
    models: list[dict[str, Any]] = []
    samples: list[dict[str, str]] = []

    def add(name: str, data: bytes, accuracy: float, of: pretrained.PretrainedModel) -> None:
        path = assets / "models" / f"{name}.tflite"
        _write(path, data)
        models.append(
            {
                "file": path.name,
                "accuracy": accuracy,
                "images": of.card["data"]["test_images"],
                "range": RANGE,
                "samples": of.name,
            }
        )
        print(f"{path}: {len(data):,} bytes, accuracy {accuracy:.1%}")

    for model in map(pretrained.load, pretrained.names()):
        if model.name == PEERS_OF:
            for kind, (data, accuracy) in peers(model, runs / "float", epochs).items():
                add(f"{model.name}_{kind}", data, accuracy, model)
        for kind in pretrained.KINDS:
            data = model.path(kind).read_bytes()
            add(f"{model.name}_{kind}", data, model.accuracy(kind), model)
        maximum = model.card["input"]["maximum"]
        for index, (label, sample) in enumerate(zip(model.labels, model.samples, strict=True)):
            # By number: labels have characters that file names have not.
            file = f"samples/{model.name}/{index}.png"
            _write(assets / file, png(sample, maximum))
            samples.append({"set": model.name, "file": file, "label": label})
    contents = {"models": models, "samples": samples}
    _write(assets / "models.json", json.dumps(contents, indent=1).encode())


def peers(
    model: pretrained.PretrainedModel, run: Path, epochs: int
) -> dict[str, tuple[bytes, float]]:
    """The float network of a model's run, in float32 and int8, each with its accuracy."""
    import numpy as np

    from keras_sparsebnn.data import load
    from keras_sparsebnn.pretrained.evaluation import held_out
    from keras_sparsebnn.saved_models import load_model
    from keras_sparsebnn.tflite_file.associated_files import with_labels
    from keras_sparsebnn.training import RunConfig, train

    config = RunConfig.load(model.folder / "run.json")
    config = dataclasses.replace(config, float_network=True, epochs=epochs)
    train(config, run, progress=False, report=print)
    network = load_model(run / "model.keras")
    calibration = next(iter(load(config.dataset).train(0, 0, 256)))[0].numpy()
    files = {"float": _with_tensorflow(network), "int8": _with_tensorflow(network, calibration)}
    images, classes = held_out(config.dataset)
    return {
        kind: (
            with_labels(data, model.labels),
            float(np.mean(predict(data, model.prepared(images)).argmax(-1) == classes)),
        )
        for kind, data in files.items()
    }


def _with_tensorflow(model: Any, calibration: Any = None) -> bytes:
    """TensorFlow's own conversion; to int8 throughout if there are images to calibrate with."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def predict(data: bytes, images: Any) -> Any:
    """Scores for images in [-1, 1], `[N, H, W, C]`, of a model with float or int8 inputs."""
    import numpy as np

    import keras_sparsebnn as ksb

    interpreter = ksb.runtime.Interpreter(data)
    x, y = interpreter.inputs[0], interpreter.outputs[0]
    if x.dtype == np.int8:
        images = np.clip(np.rint(images / x.scale + x.zero_point), -128, 127).astype(np.int8)
    scores = np.asarray(interpreter.predict(images))
    if y.dtype == np.int8:
        scores = (scores.astype(np.float32) - y.zero_point) * np.float32(y.scale)
    return scores


def png(image: npt.NDArray[np.uint8], maximum: int = 255) -> bytes:
    """An image as a PNG of 8 bits a channel; the same bytes on every machine.

    Args:
        image: from 0 to `maximum`.
        maximum: what is white.

    Shape:
        `[H, W, 1]`, grey, or `[H, W, 3]`, red, green and blue.

    Reference: W3C, "Portable Network Graphics", third edition, sections 5, 10 and 11.2.1.
    """
    import numpy as np

    pixels = np.rint(image * (255 / maximum)).astype(np.uint8)
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return len(data).to_bytes(4, "big") + kind + data + check.to_bytes(4, "big")

    header = struct.pack(">2L5B", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    image_data = zlib.compress(rows, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", image_data)
        + chunk(b"IEND", b"")
    )


def _write(path: Path, data: bytes) -> None:
    from keras_sparsebnn._files import replaced

    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as temporary:
        temporary.write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
