"""The figure of what kernels cost, from the newest benchmarks/results/kernel_cost-*.json."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from matplotlib.lines import Line2D

from benchmarks.result_files import newest
from keras_sparsebnn.analysis.plots import COLOURS, new_figure

ISAS = {"avx2": "AVX2", "avx512": "AVX-512, VPOPCNTDQ", "neon": "NEON"}


def picoseconds(row):
    pixels = (row["height"] // row["stride"]) * (row["width"] // row["stride"])
    macs = pixels * row["channels_in"] * row["channels_out"] * row["filter"] ** 2
    return 1e3 * row["ns"] / macs


def curve(rows, kernel, key):
    """x -> the fastest tile's cost of a multiply-add."""
    best = {}
    for row in rows:
        if row["kernel"] == kernel:
            x = row[key]
            best[x] = min(best.get(x, math.inf), picoseconds(row))
    return dict(sorted(best.items()))


def crossings(codebook, xnor):
    """Where the two cost the same, between measured points, on a log scale."""
    found = []
    xs = list(codebook)
    for a, b in itertools.pairwise(xs):
        before, after = (math.log(codebook[x] / xnor[x]) for x in (a, b))
        if before * after < 0:
            found.append(a * (b / a) ** (before / (before - after)))
    return found


def panel(axes, rows, key, series, label):
    """One colour for each value of `series`: codebook solid, dense dashed, crossings dotted."""
    values = sorted({series(row) for row in rows})
    for colour, value in zip(COLOURS, values, strict=False):
        of_value = [row for row in rows if series(row) == value]
        codebook, xnor = (curve(of_value, kernel, key) for kernel in ("codebook", "xnor"))
        axes.plot(*zip(*codebook.items(), strict=True), "o-", color=colour, ms=3, lw=1.4)
        axes.plot(*zip(*xnor.items(), strict=True), "--", color=colour, lw=1.1)
        for x in crossings(codebook, xnor):
            axes.axvline(x, color=colour, ls=":", lw=1.1)
        axes.plot([], [], color=colour, lw=3, label=label(value))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.grid(which="major", color="0.92")
    axes.legend(fontsize=7, edgecolor="white", framealpha=1, loc="upper center", ncols=2)


def dense_last(rows):
    """Random bits stand right of 512 codewords, as a filter of 1024 would."""
    return [{**row, "codewords": row["codewords"] or 1024} for row in rows]


def draw(path: Path) -> None:
    """Draws it into a file."""
    sweeps = newest("kernel_cost")["sweeps"]
    isas = [isa for isa in ISAS if any(row["isa"] == isa for row in sweeps["side"])]
    figure = new_figure(12, 3.4 * len(isas) + 0.6)
    grid = figure.subplots(len(isas), 3, sharey=True, squeeze=False)
    for line, isa in zip(grid, isas, strict=True):
        by_n, by_channels, by_side = (
            [row for row in sweeps[name] if row["isa"] == isa]
            for name in ("codewords", "channels_out", "side")
        )
        panel(
            line[0],
            dense_last(by_n),
            "codewords",
            lambda row: row["channels_in"],
            lambda c: f"{c} ch, {3584 // c}x{3584 // c}",
        )
        panel(
            line[1],
            dense_last(by_channels),
            "channels_out",
            lambda row: row["codewords"],
            lambda n: "random bits" if n == 1024 else f"n = {n}",
        )
        panel(
            line[2],
            by_side,
            "height",
            lambda row: row["channels_in"],
            lambda c: f"{c} to {c} ch",
        )
        line[0].set_ylabel(f"{ISAS[isa]}\nps per multiply-add")
        for axes, ticks in zip(
            line,
            (
                {n: str(n) for n in (4, 8, 16, 32, 64, 128, 256, 512)} | {1024: "any"},
                {c: str(c) for c in (16, 32, 64, 128, 256, 512, 1024)},
                {s: str(s) for s in (4, 7, 14, 28, 56, 112)},
            ),
            strict=True,
        ):
            axes.set_xticks(list(ticks), list(ticks.values()), fontsize=8)
            axes.minorticks_off()
    costs = [
        picoseconds(row) for name in sweeps for row in sweeps[name] if row["kernel"] != "scalar"
    ]
    low = min(costs)
    ticks = [t for t in (0.5, 1, 2, 3, 5, 10, 20, 50) if low / 2 < t]
    grid[0][0].set_ylim(low * 0.85, 14)
    for axes in grid[:, 0]:
        axes.set_yticks(ticks, [f"{t:g}" for t in ticks], fontsize=8)
        axes.set_ylim(low * 0.85, 14)
    titles = ("codewords n of the filter", "output channels", "side of the map")
    notes = ("", " (128 in, 28x28)", " (n = 32)")
    for axes, title, note in zip(grid[0], titles, notes, strict=True):
        axes.set_title(f"against {title}{note}", fontsize=10)
    for axes, title in zip(grid[-1], titles, strict=True):
        axes.set_xlabel(title, fontsize=9)
    styles = [
        Line2D([], [], color="0.3", marker="o", ms=3, label="codebook kernel"),
        Line2D([], [], color="0.3", ls="--", label="dense kernel (XOR, popcount, add)"),
        Line2D([], [], color="0.3", ls=":", label="crossover"),
    ]
    figure.legend(handles=styles, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=110, facecolor="white")
