"""Time, peak memory and file size of converting a ResNet-18 with selected kernels.

    python -m benchmarks.speed.conversion    # writes benchmarks/results/conversion-<date>.json

Each run is a process of its own, so that the peak is the conversion's: the resident set at its
highest minus that before the model was converted is what the conversion adds; the peak itself,
TensorFlow included, is what must fit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks import result_files
from benchmarks.environment import environment, own_peak_bytes
from benchmarks.speed import resnet

LIMITS = {"seconds": 60, "peak_bytes": 4 * 10**9}


def convert(args: argparse.Namespace) -> dict[str, Any]:
    """One conversion, in this process."""
    from keras_sparsebnn.converters import convert_keras_model, inspect

    model = resnet.build(args)
    before = own_peak_bytes()
    start = time.perf_counter()
    flat = convert_keras_model(model)
    seconds = time.perf_counter() - start
    report = inspect(flat)
    return {
        "seconds": round(seconds, 3),
        "peak_bytes": own_peak_bytes(),
        "added_bytes": own_peak_bytes() - before,
        "file_bytes": report.file_bytes,
        "bytes_by_kind": report.bytes_by_kind,
        "binary_layers": len(report.binary_layers),
        "sub_bit_savings": report.sub_bit_savings,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    resnet.add_arguments(parser)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(convert(args)))
        return 0
    child = [sys.executable, "-m", __spec__.name, "--child"]
    for name in resnet.OPTIONS:
        child += [f"--{name}", str(getattr(args, name))]
    header = environment()
    runs = []
    for number in range(args.runs):
        output = subprocess.run(child, stdout=subprocess.PIPE, check=True)
        runs.append(json.loads(output.stdout.splitlines()[-1]))
        print(f"run {number + 1}: {runs[-1]['seconds']} s, {runs[-1]['peak_bytes']:,} B peak")
    result = {
        "version": 1,
        "benchmark": "conversion",
        "environment": header,
        "model": resnet.described(args),
        "limits": LIMITS,
        "median_seconds": statistics.median(run["seconds"] for run in runs),
        "largest_peak_bytes": max(run["peak_bytes"] for run in runs),
        "runs": runs,
    }
    print(f"median {result['median_seconds']} s")
    result_files.write("conversion", result)
    within = (
        result["median_seconds"] <= LIMITS["seconds"]
        and result["largest_peak_bytes"] <= LIMITS["peak_bytes"]
    )
    return 0 if within else 1


if __name__ == "__main__":
    raise SystemExit(main())
