"""The figure of a search: accuracy against cost of all candidates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_sparsebnn._files import read_json
from keras_sparsebnn.analysis.plots import COLOURS, GREY, new_figure, saved, tidy
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.search.budget import Budget
from keras_sparsebnn.search.evolution import Candidate, front
from keras_sparsebnn.search.folder import SearchFolder
from keras_sparsebnn.search.orders import known_candidates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["candidates_figure", "draw"]

_LABELS = {
    "bops": "binary operations of an image [million]",
    "bytes": "size [kB]",
    "latency_ms": "latency [ms]",
}
_UNITS = {"bops": 1e6, "bytes": 1e3, "latency_ms": 1.0}


def candidates_figure(
    candidates: Sequence[Candidate], budget: Budget, path: str | Path | None = None
) -> Figure:
    """Every candidate as a point, the later the darker; the Pareto front, and the budget.

    Args:
        candidates: in the order in which they were evaluated.
        budget: of the search.
        path: where to save the image; not at all if None.

    Raises:
        SparseBNNError: no candidate within the budget.
    """
    scored = [candidate for candidate in candidates if candidate.score is not None]
    if not scored:
        raise SparseBNNError("Expected candidates with a score, found none.")
    unit = _UNITS[budget.kind]
    figure = new_figure(6.4, 4.2)
    axes = figure.subplots()
    points = axes.scatter(
        [candidate.cost / unit for candidate in scored],
        [100 * (candidate.score or 0) for candidate in scored],
        c=range(1, len(scored) + 1),
        cmap="Blues",
        vmin=-0.5 * len(scored),
        s=18,
    )
    best = front(scored)
    axes.plot(
        [candidate.cost / unit for candidate in best],
        [100 * (candidate.score or 0) for candidate in best],
        color=COLOURS[1],
        marker="o",
        markersize=4,
        linewidth=1.2,
        drawstyle="steps-post",
        label="Pareto front",
    )
    axes.axvline(budget.limit / unit, color=GREY, linestyle="--", label="budget")
    axes.set_xlabel(_LABELS[budget.kind])
    axes.set_ylabel("accuracy on held-out images,\nshared weights [%]")
    bar = figure.colorbar(points, ax=axes, label="candidate")
    bar.ax.set_ylim(1, len(scored) + 1)
    axes.legend(frameon=False, loc="upper left")
    tidy(axes)
    return saved(figure, path)


def draw(folder: str | Path, path: str | Path) -> Figure:
    """The figure of a search's folder, also while it runs.

    Raises:
        SparseBNNError: it is no search's, or has no candidate yet.
    """
    files = SearchFolder(folder)
    if not files.settings.exists():
        raise SparseBNNError(
            f"Expected the folder of a search, found no search.json ({folder})."
        )
    budget = Budget.parse(str(read_json(files.settings).get("budget")))
    found = known_candidates(files.candidates)
    return candidates_figure(list(found.values()), budget, path)
