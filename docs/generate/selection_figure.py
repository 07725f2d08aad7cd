"""The figure of kernel selection: what a layer with selected kernels stores and computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle

from keras_sparsebnn import codebook
from keras_sparsebnn.analysis.plots import new_figure

BLUE, LIGHT = "#0072B2", "#F3F3F3"
N = 32


def mosaic(axes, selected):
    """All 512 codewords, 32 a row; the selected ones in colour."""
    image = np.ones((16 * 4 + 1, 32 * 4 + 1, 3))
    blue = np.array([0, 114, 178]) / 255
    for codeword in range(512):
        row, column = divmod(codeword, 32)
        pattern = codebook.decode(codeword).reshape(3, 3)
        chosen = codeword in selected
        for y in range(3):
            for x in range(3):
                negative = pattern[y, x] < 0
                colour = blue if chosen else np.full(3, 0.75)
                image[row * 4 + 1 + y, column * 4 + 1 + x] = colour if negative else 0.95
        if chosen:
            y, x = row * 4, column * 4
            image[y : y + 5, [x, x + 4]] = image[[y, y + 4], x : x + 5] = blue
    axes.imshow(image, interpolation="nearest")
    axes.set_axis_off()


def kernel(axes, values, *, binary):
    for (row, column), value in np.ndenumerate(values):
        if binary:
            colour = BLUE if value < 0 else LIGHT
        else:
            colour = (
                *((0, 114 / 255, 178 / 255) if value < 0 else (0.84, 0.37, 0)),
                abs(value),
            )
        axes.add_patch(
            Rectangle((column, 2 - row), 1, 1, facecolor=colour, edgecolor="white", linewidth=2)
        )
        text = f"{value:+.0f}" if binary else f"{value:+.1f}"
        dark = binary and value < 0
        axes.text(
            column + 0.5,
            2.5 - row,
            text,
            ha="center",
            va="center",
            fontsize=9,
            color="white" if dark else "0.15",
        )
    axes.set_xlim(0, 3)
    axes.set_ylim(0, 3)
    axes.set_aspect("equal")
    axes.set_axis_off()


def draw(path: Path) -> None:
    """Draws it into a file."""
    selection = codebook.covering(N, seed=1)
    rng = np.random.default_rng(4)
    latent = np.clip(rng.normal(0, 0.5, (2, 3, 3)), -1, 1)
    figure = new_figure(11, 4.6)
    left, right = figure.subfigures(1, 2, width_ratios=(1.25, 1))
    axes = left.subplots()
    mosaic(axes, set(selection.tolist()))
    axes.set_title(f"1. Of all 512 sign patterns, the layer selects {N}", fontsize=11)
    cells = right.subplots(2, 3, width_ratios=(1, 0.9, 1))
    right.suptitle("2. Each 3x3 kernel becomes the nearest of them", fontsize=11)
    for (first, middle, last), weights in zip(cells, latent, strict=True):
        chosen = int(codebook.nearest(weights.reshape(1, 9), selection)[0])
        position = int(np.flatnonzero(np.sort(selection) == chosen)[0])
        kernel(first, weights, binary=False)
        kernel(last, codebook.decode(chosen).reshape(3, 3), binary=True)
        middle.set_axis_off()
        middle.set_xlim(0, 1)
        middle.set_ylim(0, 1)
        middle.annotate(
            "",
            (0.97, 0.5),
            (0.03, 0.5),
            arrowprops={"arrowstyle": "-|>", "color": "0.3", "linewidth": 1.5},
        )
        middle.text(0.5, 0.58, "nearest", ha="center", va="bottom", fontsize=9, color="0.3")
        middle.text(
            0.5,
            0.42,
            f"index {position:05b}:\n5 bits, not 9",
            ha="center",
            va="top",
            fontsize=9,
            color="0.1",
        )
    cells[0][0].set_title("latent (training)", fontsize=9, color="0.3")
    cells[0][2].set_title("binary (deployed)", fontsize=9, color="0.3")
    figure.savefig(path, dpi=110, facecolor="white")
