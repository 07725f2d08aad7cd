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
from benchmarks.speed import resnet

LIMITS = {"subbit_int8_bytes": 1_620_000, "subbit_saves_bytes": 600_000}


def model(args: argparse.Namespace) -> Any:
    import numpy as np

    from keras_sparsebnn._keras import keras

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    made = resnet.build(args)
    for layer in made.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    resnet.add_arguments(parser)
    args = parser.parse_args()
    from keras_sparsebnn.converters import convert_file, convert_keras_model, inspect

    plain = convert_keras_model(model(args))
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
        "model": resnet.described(args),
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
