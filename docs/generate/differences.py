"""Paired differences as the pages write them: points, and the interval."""

from __future__ import annotations

from collections.abc import Mapping

from keras_sparsebnn.experiments.statistics import Difference, paired_difference

__all__ = ["by_seed", "interval", "marked"]


def by_seed(
    ours: Mapping[int, float], theirs: Mapping[int, float], *, confidence: float = 0.95
) -> Difference | None:
    """The difference over the seeds that both have; None if there are none."""
    seeds = sorted(set(ours) & set(theirs))
    if not seeds:
        return None
    return paired_difference(
        [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds], confidence=confidence
    )


def interval(d: Difference) -> str:
    """`+0.64 [+0.02, +1.26]`, in points; without the interval where one seed is all."""
    mean = f"{100 * d.mean:+.2f}"
    if d.half_width is None:
        return mean
    low, high = (100 * (d.mean + sign * d.half_width) for sign in (-1, 1))
    return f"{mean} [{low:+.2f}, {high:+.2f}]"


def marked(d: Difference | None) -> str:
    """The same, bold where the interval excludes 0; "-" for None."""
    if d is None:
        return "-"
    return f"**{interval(d)}**" if d.separated else interval(d)
