"""Paired differences as the pages write them: points, and the interval."""

from __future__ import annotations

from collections.abc import Mapping

from keras_sparsebnn.experiments.statistics import Difference, paired_difference

__all__ = ["by_seed", "marked"]


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


def marked(d: Difference | None) -> str:
    """In points, bold where the interval excludes 0; "-" for None."""
    if d is None:
        return "-"
    return f"**{d.in_points()}**" if d.separated else d.in_points()
