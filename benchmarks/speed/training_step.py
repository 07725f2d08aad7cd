"""A training step with selection against the same step with plain 1-bit kernels.

Times interleaved steps of one network (binary 3x3 layers of 64 to 128 channels, CIFAR-sized
images, the maps of the first layers as large as them or half) and takes medians and ratios;
measures the peak memory of each in a process of its own.

    python -m benchmarks.speed.training_step
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import result_files
from benchmarks.environment import environment, own_peak_bytes

KINDS = ("ste_sign", "structured", "partial", "full")
WIDTHS = (64, 64, 128, 128)
BATCH = 64
CODEWORDS = 32
# Stride of the stem: the selection's cost does not depend on the map, the step's does.
CASES = {"32x32 and 16x16 maps": 1, "16x16 and 8x8 maps": 2}
# The selection takes a fixed amount, mostly for compiling; activations grow with the batch.
MEMORY_BATCHES = (64, 256)
LIMITS = {
    "structured": {"time": 1.05, "memory": 1.1},
    "partial": {"time": 1.15, "memory": 1.1},
    "full": {"time": 1.5},
}


def build(kind: str, stem_stride: int, batch: int = BATCH) -> Callable[[], Any]:
    import numpy as np

    from keras_sparsebnn._keras import keras, tf
    from keras_sparsebnn.models import small
    from keras_sparsebnn.quantizers import SparseKernel

    def kernel_quantizer(codewords: int) -> Any:
        if kind == "ste_sign":
            return "ste_sign"
        if kind == "structured":
            return SparseKernel(codewords, refresh_interval=1)
        return SparseKernel(codewords, logits="free", formulation=kind)

    keras.utils.set_random_seed(0)
    model = small(
        (32, 32, 3),
        10,
        codewords=CODEWORDS,
        widths=WIDTHS,
        kernel_quantizer=kernel_quantizer,
        stem_stride=stem_stride,
    )
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    rng = np.random.default_rng(0)
    images = tf.constant(rng.normal(size=(batch, 32, 32, 3)).astype(np.float32))
    labels = tf.constant(rng.integers(0, 10, batch))
    step = model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors((images, labels)).repeat())
    return lambda: step(batches)["loss"].numpy()


def measure(stem_stride: int, count: int) -> dict[str, Any]:
    steps = {kind: build(kind, stem_stride) for kind in KINDS}
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for step in steps.values():
        for _ in range(3):
            step()
    for _ in range(count):
        for kind, step in steps.items():
            started = time.perf_counter()
            step()
            times[kind].append(1e3 * (time.perf_counter() - started))
    medians = {kind: statistics.median(values) for kind, values in times.items()}
    return {
        "median_ms": medians,
        "quartiles_ms": {kind: statistics.quantiles(times[kind], n=4) for kind in KINDS},
        "time_ratio": {kind: medians[kind] / medians["ste_sign"] for kind in KINDS},
    }


def peak_memory(kind: str, batch: int) -> float:
    """Peak resident set of a process that trains a few steps, MiB."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", __spec__.name, "--memory-of", kind, str(batch)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.memory_of:
        kind, batch = args.memory_of
        step = build(kind, 1, int(batch))
        for _ in range(5):
            step()
        print(own_peak_bytes() / 2**20)
        return
    result = {
        "environment": environment(),
        "setting": {
            "model": "small",
            "widths": WIDTHS,
            "input": [32, 32, 3],
            "batch": BATCH,
            "codewords": CODEWORDS,
            "refresh_interval": 1,
            "interleaved_steps": args.steps,
        },
        "limits": LIMITS,
        "cases": {},
        "memory": {},
    }
    for batch in MEMORY_BATCHES:
        peaks = {kind: peak_memory(kind, batch) for kind in KINDS}
        ratios = {kind: peaks[kind] / peaks["ste_sign"] for kind in KINDS}
        result["memory"][f"batch {batch}"] = {"peak_mib": peaks, "ratio": ratios}
        print("memory, batch", batch, json.dumps(ratios), flush=True)
    for name, stem_stride in CASES.items():
        result["cases"][name] = measure(stem_stride, args.steps)
        print(name, json.dumps(result["cases"][name]["time_ratio"]), flush=True)
    result_files.write("training_step", result, args.out)


if __name__ == "__main__":
    main()
