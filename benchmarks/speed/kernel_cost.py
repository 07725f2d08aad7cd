"""What the two kernels cost against codewords, output channels and map size, by measurement.

    make test-native                    # builds delegate/tests/kernels_bench.cc, too
    python -m benchmarks.speed.kernel_cost build/native-x86_64-linux-gnu.2.17/kernels_bench
    python -m docs.generate --figures   # its figure, among others

The first writes benchmarks/results/kernel_cost-<date>.json: times of the kernels alone, from
bit-packed input to outputs, in turns, one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks import result_files
from benchmarks.environment import environment

ISAS = ("avx2", "avx512", "neon")
DENSE = 0  # random bits, no codebook

# Layers of ResNet-18: pixels of a side, channels in and out.
LAYERS = ((56, 64), (28, 128), (14, 256), (7, 512))
CODEWORDS = (4, 8, 16, 32, 64, 128, 256, 512, DENSE)
CHANNELS_OUT = (16, 32, 64, 128, 256, 512, 1024)
SIDES = (4, 5, 7, 10, 14, 20, 28, 40, 56, 80, 112)


def sweeps() -> dict[str, list[str]]:
    """Lines for kernels_bench."""
    return {
        "codewords": [
            f"{side} {side} {channels} {channels} 3 1 {n} float"
            for side, channels in LAYERS
            for n in CODEWORDS
        ],
        "channels_out": [
            f"28 28 128 {channels} 3 1 {n} float"
            for channels in CHANNELS_OUT
            for n in (8, 32, DENSE)
        ],
        "side": [
            f"{side} {side} {channels} {channels} 3 1 32 float"
            for side in SIDES
            for channels in (64, 128, 256)
        ],
    }


def measure(program: Path, lines: list[str], isa: str, seconds: float) -> list[dict[str, Any]]:
    command = [str(program.resolve()), "--seconds", str(seconds), "--isa", isa]
    done = subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program", type=Path, help="a compiled kernels_bench.cc")
    parser.add_argument("--seconds", type=float, default=0.2, help="per layer and kernel")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    header = environment()
    header["load"] = {"before": os.getloadavg()}
    measured = {
        name: [row for isa in ISAS for row in measure(args.program, lines, isa, args.seconds)]
        for name, lines in sweeps().items()
    }
    header["load"]["after"] = os.getloadavg()
    result = {
        "version": 1,
        "benchmark": "kernel_cost",
        "environment": header,
        "setting": {"seconds": args.seconds, "threads": 1},
        "sweeps": measured,
    }
    result_files.write("kernel_cost", result, args.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
