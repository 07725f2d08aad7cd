"""Figures of what a network selected: codeword usage, selection overlap, bits per layer.

Every function returns a matplotlib `Figure` and, given a path, saves it there; the suffix says
the format. No global matplotlib state is touched and no display is needed.
"""

from __future__ import annotations

import itertools
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn._files import replaced
from keras_sparsebnn.errors import SparseBNNError, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "bits_per_layer",
    "codeword_usage",
    "literal",
    "new_figure",
    "saved",
    "selection_overlap",
    "tidy",
]

# Okabe and Ito's palette: distinct for any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#999999"

TOP = 8
"""Most used codewords that are drawn per model."""

MAX_LABELS = 10
"""Layers named in a legend; with more, only the first, the middle and the last."""

Path = str | os.PathLike[str]
Counts = Mapping[str, npt.ArrayLike]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, which needs no display.

    Raises:
        SparseBNNError: matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SparseBNNError(
            "Expected matplotlib to be installed, found none. "
            "Run: pip install 'keras-sparsebnn[train]'"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Any) -> None:
    """The look of all images: two spines, a pale grid behind."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, which="major", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)


def literal(name: str) -> str:
    """A name from a file as a label: dollars are dollars, and begin no formula."""
    return printable(name).replace("$", r"\$")


def saved(figure: Figure, path: Path | None) -> Figure:
    """The figure, which is also written to `path` if one is given.

    Raises:
        SparseBNNError: a format that matplotlib cannot write.
    """
    if path is not None:
        try:
            with replaced(pathlib.Path(path)) as temporary:
                figure.savefig(temporary, dpi=150)
        except ValueError as error:  # a format that matplotlib cannot write
            raise SparseBNNError(
                f"Expected a file name like usage.png, .svg or .pdf, got {os.fspath(path)}: "
                f"{error}."
            ) from error
    return figure


def _layer_counts(label: str, source: Any) -> dict[str, npt.NDArray[np.int64]]:
    """`{layer: [512] counts}` of a model's 3x3 layers, or of ready counts."""
    if isinstance(source, Mapping):
        counts = {str(layer): np.asarray(c, np.int64) for layer, c in source.items()}
    else:
        from keras_sparsebnn.analysis.usage import binary_layers, codeword_counts

        counts = {layer.name: codeword_counts(layer) for layer in binary_layers(source)}
    size = codebook.codebook_size(3)
    counts = {layer: c for layer, c in counts.items() if c.shape == (size,) and c.sum() > 0}
    if not counts:
        raise SparseBNNError(
            f"Expected binary 3x3 layers to count codewords in, got none ({label})."
        )
    return counts


def codeword_usage(models: Mapping[str, Any], path: Path | None = None) -> Figure:
    """How unevenly kernels use the codewords: sorted usage, log-log, and the favourites.

    Thin lines are layers, a thick one is their mean. A plain 1-bit network uses few codewords
    often and most of them hardly ever; a straight line is a power law. A line of a selected
    network ends at its n.

    Args:
        models: what to call it -> a Keras model, or `{layer name: [512] codeword counts}`. Two
            or three: a trained 1-bit model against a selected one.
        path: where to save the image; not at all if None.

    Raises:
        SparseBNNError: a model has no binary 3x3 layer, or there are none or too many models.

    Reference: Wang et al., CVPR 2023, arXiv:2303.14470, figure 1.
    """
    if not 1 <= len(models) <= len(COLOURS):
        raise SparseBNNError(f"Expected 1 to {len(COLOURS)} models to draw, got {len(models)}.")
    counts = {label: _layer_counts(label, source) for label, source in models.items()}
    heights = [4.2, 0.2 + 0.95 * len(counts)]
    figure = new_figure(8, sum(heights))
    (curve_area,), (image_area,) = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)
    axes = curve_area.subplots()
    size = codebook.codebook_size(3)
    for (label, layers), colour in zip(counts.items(), COLOURS, strict=False):
        shares = np.stack([np.sort(c / c.sum())[::-1] for c in layers.values()])
        ranks = np.arange(1, size + 1)
        for share in shares:
            used = share > 0
            axes.plot(ranks[used], share[used], color=colour, alpha=0.3, linewidth=0.8)
        mean = shares.mean(axis=0)
        distinct = [np.count_nonzero(share) for share in shares]
        span = (
            f"{min(distinct)}"
            if min(distinct) == max(distinct)
            else (f"{min(distinct)}-{max(distinct)}")
        )
        shown = mean > 0
        axes.plot(
            ranks[shown],
            mean[shown],
            color=colour,
            linewidth=2.5,
            label=f"{literal(label)}: {span} codewords per layer",
        )
    axes.axhline(1 / size, color=GREY, linestyle=":", linewidth=1.2)
    axes.annotate(
        "all 512 alike", (1, 1 / size), (2, 3), textcoords="offset points", color="0.4", size=8
    )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.3 / size), max(high, 0.11))
    axes.yaxis.set_minor_formatter("")
    axes.set_xticks([2**power for power in range(10)], [str(2**p) for p in range(10)])
    axes.set_xlim(1, size)
    axes.set_xlabel("codeword, by rank in its layer")
    axes.set_ylabel("share of the layer's kernels")
    axes.set_title("Codeword usage", loc="left", weight="bold")
    axes.legend(frameon=False, loc="upper right")
    tidy(axes)
    _draw_favourites(image_area, counts)
    return saved(figure, path)


def _draw_favourites(area: Any, counts: Mapping[str, Counts]) -> None:
    """One row of small images per model: its most used codewords, all layers together."""
    from matplotlib.colors import ListedColormap

    rows = area.subplots(len(counts), TOP + 1, squeeze=False, width_ratios=[2.4] + [1] * TOP)
    area.suptitle(
        "Most used codewords, all layers together (coloured: -1)", size=9, color="0.25"
    )
    for row, (label, layers), colour in zip(rows, counts.items(), COLOURS, strict=False):
        total = np.sum([np.asarray(c) for c in layers.values()], axis=0)
        # Ties by id, so that the image is the same each time.
        favourites = np.lexsort((np.arange(len(total)), -total))[:TOP]
        row[0].axis("off")
        row[0].text(1, 0.5, label, ha="right", va="center", color=colour, weight="bold")
        for axes, codeword in zip(row[1:], favourites, strict=True):
            if not total[codeword]:
                axes.axis("off")
                continue
            pattern = codebook.decode(int(codeword)).reshape(3, 3)
            colours = ListedColormap([colour, "#F4F4F4"])
            axes.imshow(pattern, cmap=colours, vmin=-1, vmax=1)
            axes.set_xticks([0.5, 1.5], minor=True)
            axes.set_yticks([0.5, 1.5], minor=True)
            axes.grid(visible=True, which="minor", color="white", linewidth=1.5)
            axes.tick_params(which="both", length=0, labelbottom=False, labelleft=False)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_color("0.6")
            share = total[codeword] / total.sum()
            axes.set_xlabel(f"{share:.1%}", size=8, labelpad=2)


def _selections(
    history: Sequence[Mapping[str, Any]],
) -> tuple[list[int], dict[str, list[set[int]]]]:
    """Epochs, and each layer's selection at each of them."""
    try:
        epochs = [int(entry["epoch"]) for entry in history if entry.get("selection")]
        chosen = [entry["selection"] for entry in history if entry.get("selection")]
        layers = {
            str(layer): [set(codebook.validate_ids(e[layer]).tolist()) for e in chosen]
            for layer in (chosen[0].keys() if chosen else ())
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SparseBNNError(
            "Expected epochs with a selection of codeword ids per layer, got something else: "
            f"{type(error).__name__} {error}."
        ) from error
    if not layers:
        raise SparseBNNError(
            "Expected a history with selections, got none: the run has no sparse layer, or has "
            "not finished an epoch. Plot a run of method learned or random."
        )
    if len(epochs) < 2:
        raise SparseBNNError("Expected at least 2 epochs to compare, got 1. Train on.")
    return epochs, layers


def _named(index: int, layers: int) -> bool:
    return layers <= MAX_LABELS or index in (0, layers // 2, layers - 1)


def selection_overlap(history: Sequence[Mapping[str, Any]], path: Path | None = None) -> Figure:
    """Whether the selection settles: its overlap with the last and the first, and swaps.

    Args:
        history: `metrics.json`'s "history": per epoch `{"epoch": e, "selection": {layer:
            [ids]}}`; epochs without a selection are skipped.
        path: where to save the image; not at all if None.

    Raises:
        SparseBNNError: fewer than 2 epochs, or no selections.
    """
    from_epochs, layers = _selections(history)
    figure = new_figure(12, 3.9)
    to_last, to_first, swaps = figure.subplots(1, 3)
    import matplotlib

    # Light to dark with depth; the palest end of viridis is lost on white.
    shades = matplotlib.colormaps["viridis"](np.linspace(0.9, 0.0, len(layers)))
    chance = np.mean([len(sets[-1]) for sets in layers.values()]) / codebook.codebook_size(3)
    for index, (layer, sets) in enumerate(layers.items()):
        style = {
            "color": shades[index],
            "marker": "o" if len(from_epochs) <= 30 else "",
            "markersize": 3,
            "label": literal(layer) if _named(index, len(layers)) else None,
        }
        last, first = sets[-1], sets[0]
        to_last.plot(from_epochs, [len(s & last) / len(last) for s in sets], **style)
        to_first.plot(from_epochs, [len(s & first) / len(first) for s in sets], **style)
        changed = [len(after - before) for before, after in itertools.pairwise(sets)]
        swaps.plot(from_epochs[1:], changed, **style)
    for axes, title in ((to_last, "the last epoch's"), (to_first, "the first epoch's")):
        axes.axhline(chance, color=GREY, linestyle=":", linewidth=1.2)
        axes.annotate(
            "chance",
            (from_epochs[-1], chance),
            (0, 3),
            textcoords="offset points",
            ha="right",
            color="0.4",
            size=8,
        )
        axes.set_ylim(-0.03, 1.05)
        axes.set_ylabel("share of codewords in common")
        axes.set_title(f"Overlap with {title} selection", loc="left", size=10, weight="bold")
    swaps.set_ylim(bottom=-0.03 * max(1.0, swaps.get_ylim()[1]))
    swaps.set_ylabel("codewords exchanged")
    swaps.set_title("Changed since the epoch before", loc="left", size=10, weight="bold")
    for axes in (to_last, to_first, swaps):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        tidy(axes)
    swaps.yaxis.get_major_locator().set_params(integer=True)
    figure.legend(
        *to_last.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(6, len(layers)),
        frameon=False,
    )
    return saved(figure, path)


def bits_per_layer(summary: Mapping[str, Any], path: Path | None = None) -> Figure:
    """What selection saves, layer by layer, against 1 bit per weight.

    Args:
        summary: `keras_sparsebnn.summary(model).to_dict()`.
        path: where to save the image; not at all if None.

    Raises:
        SparseBNNError: the model has no binary layer.
    """
    layers = summary.get("layers")
    if not layers:
        raise SparseBNNError(
            f"Expected a model with binary layers, got none (model {summary.get('model')})."
        )
    names = [layer["name"] for layer in layers]
    bits = np.array([layer["bits_per_weight"] for layer in layers])
    weights = np.array([np.prod(layer["kernel_shape"]) for layer in layers])
    taps = np.array([np.prod(layer["kernel_shape"][:2]) for layer in layers])
    entropy = np.array([layer["usage_entropy"] for layer in layers]) / taps
    kbit = 1e3 * np.array([layer["mbit"] for layer in layers])
    codebook_kbit = np.array([layer["codebook_bits"] for layer in layers]) / 1e3
    figure = new_figure(10, 1.9 + 0.32 * len(layers))
    rate, storage = figure.subplots(1, 2, sharey=True)
    rows = np.arange(len(layers))
    rate.barh(rows, bits, color=COLOURS[0], height=0.62, label="stored")
    rate.plot(
        entropy,
        rows,
        "D",
        color=COLOURS[1],
        markersize=5,
        label="entropy of the codewords used",
    )
    rate.axvline(1, color=GREY, linestyle="--", linewidth=1.5, label="1 bit")
    rate.set_xlim(0, 1.08)
    rate.set_xlabel("bits per weight")
    rate.set_yticks(rows, names)
    rate.invert_yaxis()
    storage.barh(rows, weights / 1e3, color="0.85", height=0.8, label="1 bit")
    storage.barh(rows, kbit, color=COLOURS[0], height=0.5, label="selected")
    storage.barh(
        rows, codebook_kbit, left=kbit, color=COLOURS[4], height=0.5, label="+ its codebook"
    )
    for row, (small, extra, full) in enumerate(
        zip(kbit, codebook_kbit, weights / 1e3, strict=True)
    ):
        storage.annotate(
            f"{small + extra:.1f} of {full:.1f}",
            (max(full, small + extra), row),
            (4, 0),
            textcoords="offset points",
            va="center",
            size=8,
        )
    storage.set_xlim(0, 1.25 * float(np.max(np.maximum(weights / 1e3, kbit + codebook_kbit))))
    storage.set_xlabel("kbit")
    for axes, title in ((rate, "Bits per weight"), (storage, "Storage")):
        axes.set_title(title, loc="left", weight="bold")
        tidy(axes)
        axes.grid(visible=False, axis="y")
        axes.legend(
            frameon=False,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16 - 0.5 / len(layers)),
            ncols=3,
        )
    return saved(figure, path)
