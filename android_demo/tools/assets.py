"""What the app ships: models trained on scikit-learn's digits, and sample images.

    python -m android_demo.tools.assets [ASSETS] [--runs demo] [--epochs 10]

Writes to ASSETS (build/android/assets) five variants of one network, to be compared: float32,
int8, 1 bit (an LCE file), sub-bit, and sub-bit with its other weights in int8. Every file has
its labels where TFLite's metadata has them, in a zip behind the model. The runs are those of
`make demo` and are not trained again; the float one is added to them.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

from android_demo.tools import BUILD, ROOT

CODEWORDS = 32
LABELS = [str(digit) for digit in range(10)]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("assets", nargs="?", type=Path, default=BUILD / "assets")
    parser.add_argument("--runs", type=Path, default=ROOT / "demo", help="of `make demo`")
    parser.add_argument("--epochs", type=int, default=10)
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
    """Trains what is not trained, converts, measures the accuracy, and writes all files."""
    import numpy as np

    import keras_sparsebnn as ksb
    from keras_sparsebnn.tflite_file.associated_files import with_labels

    digits = ksb.data.load("digits")
    images, labels = (np.concatenate(parts) for parts in zip(*digits.test(256), strict=True))
    one_bit = ksb.converters.convert_keras_model(_trained(runs / "one_bit", "one_bit", epochs))
    selected = ksb.converters.convert_keras_model(_trained(runs / "learned", "learned", epochs))
    network = _trained(runs / "float", "one_bit", epochs, float_network=True)
    files = {
        "digits_float": _with_tensorflow(network),
        "digits_int8": _with_tensorflow(
            network, next(iter(digits.train(0, 0, 256)))[0].numpy()
        ),
        "digits_1bit": one_bit,
        "digits_subbit": ksb.converters.convert_file(selected, "subbit"),
        "digits_subbit_int8": ksb.converters.convert_file(selected, "subbit", weights="int8"),
    }
    models: list[dict[str, Any]] = []
    everywhere = np.ones(len(images), bool)
    for name, data in files.items():
        path = assets / "models" / f"{name}.tflite"
        right = predict(data, images).argmax(-1) == labels
        accuracy, everywhere = float(np.mean(right)), everywhere & right
        _write(path, with_labels(data, LABELS))
        models.append(
            {"file": path.name, "accuracy": accuracy, "images": len(images), "range": [-1, 1]}
        )
        print(f"{path}: {path.stat().st_size:,} bytes, accuracy {accuracy:.1%}")
    _write(assets / "models.json", json.dumps({"models": models}, indent=1).encode())
    for digit in range(10):
        # Samples show what the app does; where the models differ is in their accuracy.
        sample = images[everywhere & (labels == digit)][0]
        _write(assets / "samples" / f"{digit}.png", grey_png(sample))


def _trained(run: Path, method: str, epochs: int, **options: Any) -> Any:
    from keras_sparsebnn._keras import keras
    from keras_sparsebnn.training import RunConfig, train

    codewords = CODEWORDS if method == "learned" else 512
    config = RunConfig(method=method, codewords=codewords, epochs=epochs, **options)
    train(config, run, progress=False, report=print)
    return keras.models.load_model(run / "model.keras", compile=False)


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


def grey_png(image: Any) -> bytes:
    """An image in [-1, 1], `[H, W, 1]`, as a PNG of 8 bits; the same bytes on every machine.

    Reference: W3C, "Portable Network Graphics", third edition, sections 5 and 10.
    """
    import numpy as np

    pixels = np.rint((image[..., 0] + 1) * 127.5).astype(np.uint8)
    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return len(data).to_bytes(4, "big") + kind + data + check.to_bytes(4, "big")

    header = struct.pack(">2L5B", width, height, 8, 0, 0, 0, 0)
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
