"""Fits the weights of the delegate's cost model, and says how well it chooses.

    cmake -S delegate -B build/bench -G Ninja -DSPARSEBNN_TESTS=ON && cmake --build build/bench
    python -m benchmarks.speed.fit_cost_model build/bench/kernels_bench

times every kernel on the layers of shapes/cost_model.txt (half a minute) and fits, for each
kernel, the costs of a table entry or tap, a chunk sum or step, and an output to the times by
least squares of relative errors. The table that it prints belongs in
`delegate/kernels/bconv2d/kernel_choice.cc`, whose head explains the terms. `--check` fits
nothing: it writes benchmarks/results/cost_model-<date>.json, what the compiled-in weights
choose and how much slower that is than the best kernel.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from benchmarks import result_files
from benchmarks.environment import environment

Row = dict[str, Any]


def measure(program: Path, seconds: float) -> list[Row]:
    """One row for each layer and kernel."""
    ran = subprocess.run(
        [str(program), "--seconds", str(seconds)],
        input="\n".join(result_files.shapes("cost_model")),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


def terms(row: Row) -> list[float]:
    """Entries, sums, outputs as numbers, outputs as bits: what the weights multiply."""
    packed = row["output"] == "bits"
    outputs = row["outputs"]
    return [row["entries"], row["sums"], 0 if packed else outputs, outputs if packed else 0]


def fit(rows: list[Row]) -> None:
    """Prints the weights of each kernel."""
    kernels = defaultdict(list)
    for row in rows:
        kernels[row["kernel"], row["tile"], row["isa"]].append(row)
    for (kernel, tile, isa), measured in kernels.items():
        nanoseconds = np.array([row["ns"] for row in measured])
        matrix = np.array([terms(row) for row in measured])
        weights, _ = nnls(matrix / nanoseconds[:, None], np.ones(len(measured)))
        ratio = matrix @ weights / nanoseconds
        numbers = ", ".join(f"{weight:.4g}" for weight in weights)
        print(
            f"{kernel} {tile} {isa}: {numbers}   estimate / time: median "
            f"{np.median(ratio):.2f}, {ratio.min():.2f} to {ratio.max():.2f}"
        )


def choices(rows: list[Row]) -> list[Row]:
    """For each layer and instruction set: what the model chooses, and what that loses."""
    layers = defaultdict(list)
    names = ("isa", "height", "width", "channels_in", "channels_out", "filter", "stride")
    for row in rows:
        layers[tuple(row[name] for name in (*names, "codewords", "output"))].append(row)
    chosen = []
    for layer, measured in layers.items():
        choice = min(measured, key=lambda row: row["estimated_ns"])
        best = min(measured, key=lambda row: row["ns"])
        chosen.append(
            dict(zip((*names, "codewords", "output"), layer, strict=True))
            | {
                "chosen": f"{choice['kernel']} {choice['tile']}",
                "best": f"{best['kernel']} {best['tile']}",
                "slower": round(choice["ns"] / best["ns"], 3),
            }
        )
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", type=Path, help="the compiled kernels_bench")
    parser.add_argument("--seconds", type=float, default=0.1, help="for each kernel and layer")
    parser.add_argument("--check", action="store_true", help="judge the compiled-in weights")
    arguments = parser.parse_args()
    rows = measure(arguments.program, arguments.seconds)
    if not arguments.check:
        fit(rows)
        return 0
    judged = choices(rows)
    slower = np.array([choice["slower"] for choice in judged])
    print(
        f"{len(judged)} layers: the choice is {100 * (slower.mean() - 1):.1f} % slower than the"
    )
    print(f"best on average, at worst {slower.max():.2f} times.")
    for choice in sorted(judged, key=lambda choice: -choice["slower"])[:5]:
        print(json.dumps(choice))
    result_files.write("cost_model", {"environment": environment(), "layers": judged})
    return 0


if __name__ == "__main__":
    sys.exit(main())
