"""Latency on devices against what a model costs and what it is good for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_sparsebnn.analysis.plots import COLOURS, GREY, literal, new_figure, saved, tidy
from keras_sparsebnn.errors import SparseBNNError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DevicePoint", "latency_over_devices"]

MARKERS = "osD^vP*X"


@dataclass(frozen=True)
class DevicePoint:
    """A model on a device.

    Attributes:
        device: what to call it.
        model: the file's name.
        file_bytes: its size.
        median_ms: latency.
        p90_ms: 90th percentile.
    """

    device: str
    model: str
    file_bytes: int
    median_ms: float
    p90_ms: float


def latency_over_devices(
    points: Sequence[DevicePoint],
    accuracy: Mapping[str, float] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Latency against file size and, where accuracies are known, against accuracy.

    One colour a device, one marker a model; a whisker ends at the 90th percentile.

    Args:
        points: what was measured.
        accuracy: by model, from 0 to 1.
        path: where to save the image; not at all if None.

    Raises:
        SparseBNNError: no points, too many devices or models, or no point has an accuracy.
    """
    devices = list(dict.fromkeys(point.device for point in points))
    models = list(dict.fromkeys(point.model for point in points))
    for what, found, most in (
        ("devices", devices, len(COLOURS)),
        ("models", models, len(MARKERS)),
    ):
        if not 1 <= len(found) <= most:
            raise SparseBNNError(f"Expected 1 to {most} {what} to draw, got {len(found)}.")
    accuracy = accuracy or {}
    unknown = sorted(set(accuracy) - set(models))
    if unknown:
        raise SparseBNNError(
            f"Expected accuracies of {', '.join(models)}, got one of {unknown[0]}."
        )
    panels: list[tuple[str, dict[str, float]]] = [
        ("file [KiB]", {point.model: point.file_bytes / 1024 for point in points})
    ]
    if accuracy:
        panels.append(
            ("accuracy [%]", {model: 100 * share for model, share in accuracy.items()})
        )
    figure = new_figure(4.6 * len(panels) + 1.6, 4.2)
    every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (label, places) in zip(every, panels, strict=True):
        _draw(axes, points, places, devices, models)
        axes.set_xlabel(label)
        tidy(axes)
    sizes = sorted(set(panels[0][1].values()))
    every[0].set_xscale("log")
    every[0].set_xticks(sizes, [f"{size:.3g}" for size in sizes])
    every[0].set_xticks([], minor=True)
    every[0].set_yscale("log")
    every[0].yaxis.set_major_formatter("{x:g}")
    every[0].yaxis.set_minor_formatter("{x:g}")
    every[0].set_ylabel("latency [ms], median to 90th percentile")
    figure.legend(handles=_keys(devices, models), loc="outside right upper", frameon=False)
    return saved(figure, path)


def _draw(
    axes: Axes,
    points: Sequence[DevicePoint],
    places: Mapping[str, float],
    devices: list[str],
    models: list[str],
) -> None:
    for device, colour in zip(devices, COLOURS, strict=False):
        own = [p for p in points if p.device == device and p.model in places]
        own.sort(key=lambda p: places[p.model])
        x = [places[p.model] for p in own]
        axes.plot(x, [p.median_ms for p in own], color=colour, alpha=0.4, linewidth=1)
        for place, point in zip(x, own, strict=True):
            rise = [[0.0], [max(0.0, point.p90_ms - point.median_ms)]]
            axes.errorbar(
                place,
                point.median_ms,
                yerr=rise,
                color=colour,
                marker=MARKERS[models.index(point.model)],
                markersize=7,
                capsize=2,
            )


def _keys(devices: list[str], models: list[str]) -> list[Any]:
    """Entries of the legend: colours of devices, markers of models."""
    from matplotlib.lines import Line2D

    keys = [
        Line2D([], [], color=colour, linewidth=4, label=literal(device))
        for device, colour in zip(devices, COLOURS, strict=False)
    ]
    return keys + [
        Line2D([], [], color=GREY, marker=marker, linestyle="", label=literal(model))
        for model, marker in zip(models, MARKERS, strict=False)
    ]
