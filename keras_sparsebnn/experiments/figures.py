"""Figures of an experiment: accuracy against bits, paired differences, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.analysis.plots import COLOURS, GREY, literal, new_figure, saved, tidy
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments.comparison import Comparison, Row
from keras_sparsebnn.experiments.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["comparison", "learning_curves"]

_MARKERS = "osD^vP*Xhd<>p"


def _styles(variants: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A colour and a marker each; there may be more variants than colours."""
    return {
        variant: {
            "color": COLOURS[index % len(COLOURS)],
            "marker": _MARKERS[index % len(_MARKERS)],
        }
        for index, variant in enumerate(variants)
    }


def _offsets(count: int) -> npt.NDArray[np.float64]:
    step = min(0.09, 0.72 / max(1, count))
    return step * (np.arange(count, dtype=np.float64) - (count - 1) / 2)


def _accuracies(axes: Axes, rows: Sequence[Row], styles: Mapping[str, dict[str, Any]]) -> None:
    """Each seed as a small point, the mean as a large one, over the sorted values of n."""
    sizes = sorted({row.codewords for row in rows})
    for position, size in enumerate(sizes):
        here = [row for row in rows if row.codewords == size]
        for row, offset in zip(here, _offsets(len(here)), strict=True):
            style, x = styles[row.variant], position + offset
            values = 100 * np.array(list(row.accuracies.values()))
            axes.plot([x] * len(values), values, "_", color=style["color"], alpha=0.7)
            axes.plot(x, 100 * row.mean, markersize=6, linestyle="", **style)
    axes.set_xticks(range(len(sizes)), [f"{n}\n{np.log2(n) / 9:.2f} bit" for n in sizes])
    axes.set_xlabel("codewords n, bits per weight")
    axes.set_ylabel("test accuracy [%]")


def _differences(
    axes: Axes, rows: Sequence[Row], baseline: str, styles: Mapping[str, dict[str, Any]]
) -> None:
    shown = [row for row in rows if baseline in row.differences]
    for y, row in enumerate(shown):
        difference = row.differences[baseline]
        axes.errorbar(
            100 * difference.mean,
            y,
            xerr=None if difference.half_width is None else 100 * difference.half_width,
            capsize=3,
            linestyle="",
            **styles[row.variant],
        )
    axes.axvline(0, color=GREY, linewidth=1.2)
    axes.set_yticks(range(len(shown)), [f"{row.variant}, n = {row.codewords}" for row in shown])
    axes.invert_yaxis()
    axes.set_xlabel(f"points above {baseline}, same seeds; 95 % interval")


def comparison(comparisons: Sequence[Comparison], path: Path | str | None = None) -> Figure:
    """Accuracy against n, and the difference of each variant to the first baseline.

    Args:
        comparisons: one row of panels each.
        path: where to save the figure; not saved if None.

    Raises:
        SparseBNNError: nothing to draw.
    """
    if not comparisons:
        raise SparseBNNError("Expected results of finished runs to draw, got none.")
    most = max(len(each.rows) for each in comparisons)
    figure = new_figure(11, len(comparisons) * max(3.4, 1.4 + 0.24 * most))
    panels = figure.subplots(len(comparisons), 2, squeeze=False)
    for (left, right), each in zip(panels, comparisons, strict=True):
        variants = list(dict.fromkeys(row.variant for row in each.rows))
        styles = _styles(variants)
        _accuracies(left, each.rows, styles)
        left.set_title(literal(f"{each.dataset}, {each.network}"), loc="left", weight="bold")
        baseline = next(
            (b for b in each.baselines if any(b in row.differences for row in each.rows)), None
        )
        if baseline is None:
            right.axis("off")
        else:
            _differences(right, each.rows, baseline, styles)
            tidy(right)
            right.grid(visible=False, axis="y")
        tidy(left)
        for variant in variants:
            left.plot([], [], linestyle="", label=literal(variant), **styles[variant])
        # Below the axes, where it hides no point.
        left.legend(
            frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=3
        )
    return saved(figure, path)


def learning_curves(results: Sequence[Result], path: Path | str | None = None) -> Figure:
    """Test accuracy after each epoch, mean over seeds; batch norm uses moving
    averages, so the first epochs look worse than they are.

    Args:
        results: of finished runs; one panel for each dataset, network and n.
        path: where to save the figure; not saved if None.

    Raises:
        SparseBNNError: nothing to draw.
    """
    panels: dict[tuple[str, str, int], dict[str, list[tuple[float, ...]]]] = {}
    for result in results:
        panel = panels.setdefault((result.dataset, result.network, result.codewords), {})
        panel.setdefault(result.variant, []).append(result.epochs)
    if not panels:
        raise SparseBNNError("Expected results of finished runs to draw, got none.")
    styles = _styles(list(dict.fromkeys(result.variant for result in results)))
    figure = new_figure(4.2 * len(panels), 3.8)
    for axes, (key, variants) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], sorted(panels.items()), strict=True
    ):
        for variant, curves in variants.items():
            epochs = min(map(len, curves))
            mean = 100 * np.mean([curve[:epochs] for curve in curves], axis=0)
            axes.plot(
                range(1, epochs + 1),
                mean,
                label=literal(variant),
                markersize=4,
                **styles[variant],
            )
        axes.set_title(
            literal(f"{key[0]}, {key[1]}, n = {key[2]}"), loc="left", size=10, weight="bold"
        )
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, fontsize=7)
        tidy(axes)
    figure.supylabel("test accuracy [%]", size=10)
    return saved(figure, path)
