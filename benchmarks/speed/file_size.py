"""Bytes of a ResNet-18 with selected kernels in every format, and what they hold.

    python -m benchmarks.speed.file_size    # writes benchmarks/results/file_size-<date>.json

Batch norm has the statistics of no training but random ones: untrained, most of its constants
are equal, and LCE stores equal ones once.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks import result_files
from benchmarks.environment import environment

LIMITS = {"subbit_int8_bytes": 1_620_000, "subbit_saves_bytes": 600_000}


def model(size: int, classes: int, codewords: int) -> Any:
    import numpy as np

    from keras_sparsebnn import models
    from keras_sparsebnn._keras import keras

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    made = models.resnet18((size, size, 3), classes, codewords=codewords, block="bireal")
    for layer in made.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=224, help="side of the images, in pixels")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--codewords", type=int, default=32)
    args = parser.parse_args()
    from keras_sparsebnn.converters import convert_file, convert_keras_model, inspect

    plain = convert_keras_model(model(args.size, args.classes, args.codewords))
    files = {}
    for weights in ("float", "int8"):
        for format in ("lce", "subbit"):
            report = inspect(convert_file(plain, format, weights=weights))
            files[f"{format}_{weights}"] = {
                "bytes": report.file_bytes,
                "bytes_by_kind": report.bytes_by_kind,
            }
            print(f"{format} {weights}: {report.file_bytes:,}")
    header = environment()
    result = {
        "version": 1,
        "benchmark": "file_size",
        "environment": header,
        "model": {
            "name": "resnet18",
            "input_shape": [args.size, args.size, 3],
            "classes": args.classes,
            "codewords": args.codewords,
        },
        "limits": LIMITS,
        "files": files,
    }
    result_files.write("file_size", result)
    saved = files["lce_float"]["bytes"] - files["subbit_float"]["bytes"]
    within = (
        files["subbit_int8"]["bytes"] <= LIMITS["subbit_int8_bytes"]
        and saved >= LIMITS["subbit_saves_bytes"]
    )
    return 0 if within else 1


if __name__ == "__main__":
    raise SystemExit(main())
