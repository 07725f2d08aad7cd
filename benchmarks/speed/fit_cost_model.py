"""Fits the weights of the delegate's cost model, and says how well it chooses.

    cmake -S delegate -B build/bench -G Ninja -DSPARSEBNN_TESTS=ON && cmake --build build/bench
    python -m benchmarks.speed.fit_cost_model build/bench/kernels_bench

times every kernel on the layers of shapes/cost_model.txt (half a minute) and fits, for each
kernel, the costs of a table entry or tap, a chunk sum or step, and an output to the times by
least squares of relative errors. With them it fits, for all codebook kernels together, what a
half block costs of a whole one, and a pixel that is left to the dense kernel in places of a
block.

The lines that it prints belong in `delegate/kernels/bconv2d/kernel_list.inc`, the two constants
in `delegate/kernels/codebook/raster.h`; the head of kernel_choice.cc explains the terms.
`--check` fits nothing: it writes benchmarks/results/cost_model-<date>.json, what the built-in
weights choose and how much slower that is than the best kernel.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from benchmarks import result_files
from benchmarks.environment import environment

Row = dict[str, Any]
Floats = npt.NDArray[np.float64]

HALF_BLOCKS = np.arange(0.5, 1.0, 0.05)
DENSE_PIXELS = np.arange(1.0, 4.0, 0.25)


class End(NamedTuple):
    """What the end of a raster costs, in blocks and in places of one: see raster.h."""

    half_block: float
    dense_pixel: float


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


def terms(row: Row, end: End) -> list[float]:
    """Entries, sums, outputs as numbers, outputs as bits: what the weights multiply."""
    counts = [row["entries"], row["sums"], row["outputs"]]
    if row["kernel"] == "codebook":
        # They were counted with the compiled-in costs of the raster's end.
        dense = end.dense_pixel * row["dense_pixels"] / row["block_places"]
        blocks = row["whole_blocks"] + end.half_block * row["half_blocks"] + dense
        counts = [count * blocks / row["blocks"] for count in counts]
    entries, sums, outputs = counts
    packed = row["output"] == "bits"
    return [entries, sums, 0 if packed else outputs, outputs if packed else 0]


def fit_kernel(rows: Sequence[Row], end: End) -> tuple[Floats, Floats]:
    """The weights of one kernel, and estimate / time for each row."""
    nanoseconds = np.array([row["ns"] for row in rows])
    matrix = np.array([terms(row, end) for row in rows])
    weights, _ = nnls(matrix / nanoseconds[:, None], np.ones(len(rows)))
    return weights, matrix @ weights / nanoseconds


def by_kernel(rows: Sequence[Row]) -> dict[tuple[str, str, str], list[Row]]:
    """The rows of each kernel, tile and instruction set."""
    kernels = defaultdict(list)
    for row in rows:
        kernels[row["kernel"], row["tile"], row["isa"]].append(row)
    return kernels


def fit_end(rows: Sequence[Row]) -> tuple[End, float]:
    """The costs of a raster's end that suit all codebook kernels best; their error, rms."""
    kernels = [r for (kernel, *_), r in by_kernel(rows).items() if kernel == "codebook"]

    def error(end: End) -> float:
        ratios = np.concatenate([fit_kernel(rows, end)[1] for rows in kernels])
        return float(np.sqrt(np.mean((ratios - 1) ** 2)))

    candidates = (End(h, d) for h in HALF_BLOCKS for d in DENSE_PIXELS)
    best = min(candidates, key=error)
    return best, error(best)


def line(kernel: str, tile: str, isa: str, weights: Floats) -> str:
    """As kernel_list.inc has it."""
    numbers = ", ".join(f"{weight:.4g}" for weight in weights)
    sizes = ", ".join(size for size in tile.split("x") if size)
    return f"SPARSEBNN_{kernel.upper()}({sizes}, {isa}, OnAnyCore({{{numbers}}}))"


def fit(rows: Sequence[Row]) -> None:
    """Prints all that was fitted."""
    end, error = fit_end(rows)
    print(f"constexpr double kDensePixelPlaces = {end.dense_pixel:.2g};")
    print(f"constexpr double kHalfBlockCost = {end.half_block:.2g};")
    print(f"relative error of the codebook kernels with these: {error:.3f} (rms)")
    for name, measured in by_kernel(rows).items():
        weights, ratio = fit_kernel(measured, end)
        spread = f"{np.median(ratio):.2f}, {ratio.min():.2f} to {ratio.max():.2f}"
        print(f"{line(*name, weights)}  // estimate / time: median {spread}")


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
