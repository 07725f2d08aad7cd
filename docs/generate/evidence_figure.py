"""The first image of docs/results.md: what each way of selecting is worth, regime by regime."""

from __future__ import annotations

import math
from pathlib import Path

from docs.generate import compression, regimes, replica
from docs.generate.accuracy import comparison_of
from docs.generate.differences import by_seed
from keras_sparsebnn.analysis.plots import COLOURS, GREY, new_figure, saved, tidy
from keras_sparsebnn.experiments.comparison import Comparison

SIZES = (16, 32)
COLUMNS = 3
LEAST_SEEDS = 3
"""Of a difference that is drawn with its interval, which is nearly endless for two."""
METHODS = {
    "one_bit": "all 512 (1-bit)",
    "structured": "structured logits",
    "structured_fl": "structured logits after f. l.",
    "facility_location": "facility location (f. l.)",
    "allocate": "f. l., n of each layer by allocate",
    "free": "free logits",
}
REPLICA = {
    "one_bit": "one_bit",
    "structured": "pste_struct",
    "structured_fl": "pste_struct_fl",
    "facility_location": "fl",
    "free": "pste",
}
LATE = {
    "one_bit": "one_bit",
    "facility_location": "facility_location_late",
    "free": "learned_late",
}
RESTRICTED = {"one_bit": "one_bit", "structured_fl": "structured"} | {
    way: way for way in ("facility_location", "allocate", "random")
}
Runs = dict[tuple[str, int], dict[int, float]]
"""(method or "random", n) -> seed -> accuracy; the 1-bit runs at every n."""


def of_comparison(comparison: Comparison, names: dict[str, str], random: str) -> Runs:
    cells = {(row.variant, row.codewords): dict(row.accuracies) for row in comparison.rows}
    runs = {}
    for method, variant in {**names, "random": random}.items():
        for n in SIZES:
            key = (variant, 512 if method == "one_bit" else n)
            if key in cells:
                runs[method, n] = cells[key]
    return runs


def of_replica() -> Runs:
    cells = replica.gpu_runs()
    runs = {}
    for method, variant in {**REPLICA, "random": "random"}.items():
        for n in SIZES:
            key = (replica.LABELS[variant], 512 if method == "one_bit" else n)
            if key in cells:
                runs[method, n] = cells[key]
    return runs


def of_restricted() -> Runs:
    found = {
        (method, n): compression.accuracies(way, 512 if method == "one_bit" else n)
        for method, way in RESTRICTED.items()
        for n in SIZES
    }
    return {key: runs for key, runs in found.items() if runs}


def panels() -> dict[str, Runs]:
    own = {method: method for method in METHODS}
    found = {"on a GPU: CIFAR-10, 16 epochs,\nlayers of 128 to 512 channels": of_replica()}
    for name, regime in regimes.REGIMES.items():
        runs = of_comparison(regimes.comparison(name), own, "random")
        found[f"{regime.title},\nlayers of {regime.layers} channels"] = runs
    late = of_comparison(comparison_of("fashion_mnist"), LATE, "random_late")
    found["compressed: Fashion-MNIST,\nn codewords for the last 20 %"] = late
    found["compressed: CIFAR-10,\nrestrict and 2 epochs more"] = of_restricted()
    return found


def draw(path: Path) -> None:
    drawn = panels()
    rows = math.ceil(len(drawn) / COLUMNS)
    figure = new_figure(4 * COLUMNS, 3.4 * rows)
    every = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False).ravel()
    axes_of = every[: len(drawn)]
    for axes in every[len(drawn) :]:
        axes.remove()
    for axes, (title, runs) in zip(axes_of, drawn.items(), strict=True):
        level = 1 - 0.05 / sum(method in METHODS for method, _ in runs)
        for y, method in enumerate(METHODS):
            for n, colour, marker, shift in zip(
                SIZES, COLOURS, "os", (-0.13, 0.13), strict=False
            ):
                ours, random = runs.get((method, n), {}), runs.get(("random", n), {})
                d = by_seed(ours, random, confidence=level)
                if d is None:
                    continue
                width = d.half_width if d.half_width and d.seeds >= LEAST_SEEDS else None
                axes.errorbar(
                    100 * d.mean,
                    y + shift,
                    xerr=None if width is None else 100 * width,
                    fmt=marker,
                    color=colour,
                    mfc=colour if width is not None else "white",
                    ms=5,
                    capsize=3,
                )
        axes.axvline(0, color=GREY, linewidth=1.2)
        axes.set_title(title, loc="left", size=9, weight="bold")
        axes.set_yticks(range(len(METHODS)), METHODS.values())
        axes.set_xlabel("points above a random subset")
        tidy(axes)
        axes.grid(visible=False, axis="y")
    axes_of[0].invert_yaxis()
    legend = axes_of[1]  # where there is room
    for n, colour, marker in zip(SIZES, COLOURS, "os", strict=False):
        legend.plot([], [], marker, color=colour, label=f"n = {n}")
    legend.plot([], [], "o", color=GREY, mfc="white", label="one or two seeds")
    legend.legend(frameon=False, fontsize=8, loc="lower right")
    saved(figure, path)
