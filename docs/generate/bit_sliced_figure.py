"""The figure of bit-sliced convolution: tables of bit planes and their sums, from true bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle

from keras_sparsebnn.analysis.plots import new_figure

SIDE = 12
LEFT_OUT = (2, 6)  # of nine taps; seven make a group
BLUE, ORANGE, GREY, LIGHT = "#0072B2", "#D55E00", "#BDBDBD", "#F3F3F3"
BITS = ListedColormap([LIGHT, BLUE])


def shifted(plane):
    """The plane under each of the nine taps, padded with zeros."""
    padded = np.pad(plane, 1)
    return [padded[y : y + SIDE, x : x + SIDE] for y in range(3) for x in range(3)]


def kernel(axes, pattern):
    """A 3x3 kernel; the two taps outside of the group in grey."""
    bits = iter(pattern)
    for tap in range(9):
        colour = GREY if tap in LEFT_OUT else (LIGHT, BLUE)[next(bits)]
        y, x = divmod(tap, 3)
        axes.add_patch(Rectangle((x, 2 - y), 1, 1, facecolor=colour, edgecolor="white", lw=2))
    axes.set_xlim(0, 3)
    axes.set_ylim(0, 3)
    axes.set_aspect("equal")
    axes.set_axis_off()


def bits(axes, plane, title=""):
    axes.imshow(plane, cmap=BITS, vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("0.7")
    axes.set_title(title, fontsize=9)


def numbers(axes, values, largest, title=""):
    axes.imshow(values, cmap="Blues", vmin=0, vmax=largest, interpolation="nearest")
    for (y, x), value in np.ndenumerate(values):
        colour = "white" if value > 0.6 * largest else "0.2"
        axes.text(x, y, str(value), ha="center", va="center", fontsize=5.2, color=colour)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9)


def sign(axes, text):
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=15, transform=axes.transAxes)


def input_plane(axes, plane):
    bits(axes, plane, "")
    for tap in range(9):
        y, x = divmod(tap, 3)
        colour = ORANGE if tap in LEFT_OUT else "black"
        place = (4 + x - 0.5, 4 + y - 0.5)
        axes.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor=colour, lw=2.2))


def draw(path: Path) -> None:
    """Draws it into a file."""
    rng = np.random.default_rng(3)
    plane = rng.integers(0, 2, (SIDE, SIDE))
    taps = shifted(plane)
    group = [taps[t] for t in range(9) if t not in LEFT_OUT]
    patterns = [(0, 1, 1, 0, 1, 0, 0), (1, 1, 0, 0, 0, 1, 0), (0, 0, 1, 0, 1, 1, 1)]
    counts = [sum(x ^ w for x, w in zip(group, pattern, strict=True)) for pattern in patterns]
    parity = np.bitwise_xor.reduce(group)
    for pattern, count in zip(patterns, counts, strict=True):
        np.testing.assert_array_equal(count & 1, parity ^ (sum(pattern) & 1))

    figure = new_figure(12, 5.6)
    first, second, third = figure.subfigures(1, 3, width_ratios=(0.62, 1.35, 0.95))

    first.suptitle("1. A plane of bits per channel,\npixels in the lanes", fontsize=11)
    axes = first.subplots(2, 1, height_ratios=(1, 0.62))
    input_plane(axes[0], plane)
    axes[1].set_axis_off()
    axes[1].text(
        0.5,
        1,
        "Under a tap the whole plane\nis the plane shifted.\n\n"
        "Seven taps (black) are a group;\ntwo (orange) are left over.",
        ha="center",
        va="top",
        fontsize=9,
    )

    second.suptitle(
        "2. A table per group: only the patterns that occur,\nat most n", fontsize=11
    )
    cells = second.subplots(len(patterns), 4, width_ratios=(0.75, 1, 1, 1))
    for i, (row, pattern, count) in enumerate(zip(cells, patterns, counts, strict=True)):
        top = i == 0
        kernel(row[0], pattern)
        numbers(row[1], count, 7, "differing bits: 0..7" if top else "")
        bits(row[2], count >> 1 & 1, "m (twos)" if top else "")
        bits(row[3], count >> 2, "h (fours)" if top else "")
    second.supxlabel("only m and h are tabulated", fontsize=9)

    third.suptitle("3. The ones are the same for all,\nor their inverse", fontsize=11)
    upper, lower = third.subfigures(2, 1, height_ratios=(1, 1.05))
    cells = upper.subplots(1, 3, width_ratios=(1, 0.3, 1))
    bits(cells[0], parity, "xor of the 7 inputs")
    sign(cells[1], "+")
    cells[2].set_axis_off()
    cells[2].text(
        0.5,
        0.5,
        "2 left-over taps:\n3 positions a\nchannel, which\nmake groups again",
        ha="center",
        va="center",
        fontsize=9,
    )
    lower.suptitle("4. Each output channel adds its entries", fontsize=11)
    axes = lower.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 6)
    for i in range(16):
        x = 0.4 + 0.58 * i
        for y, colour in ((5.0, "#56B4E9"), (4.45, BLUE)):
            axes.add_patch(Rectangle((x, y), 0.46, 0.46, facecolor=colour, edgecolor="white"))
    axes.text(5, 5.75, "16 groups: 16 x (m, h)", ha="center", fontsize=9)
    axes.annotate(
        "",
        (5, 2.75),
        (5, 4.3),
        arrowprops={"arrowstyle": "-|>", "color": "0.3", "linewidth": 1.5},
    )
    axes.text(5.3, 3.5, "31 full adders,\nV pixels at once", fontsize=9, va="center")
    for i, weight in enumerate((64, 32, 16, 8, 4, 2)):
        x = 1.6 + 1.15 * i
        axes.add_patch(Rectangle((x, 1.9), 1, 0.7, facecolor=BLUE, edgecolor="white"))
        axes.text(
            x + 0.5, 2.25, str(weight), ha="center", va="center", color="white", fontsize=8
        )
    axes.text(
        5,
        1.5,
        "planes of the sum, compared with the threshold as\nthey are, or transposed to numbers",
        ha="center",
        va="top",
        fontsize=9,
    )
    figure.savefig(path, dpi=110, facecolor="white")
