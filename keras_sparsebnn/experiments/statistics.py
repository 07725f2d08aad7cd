r"""Paired differences over a few seeds: their intervals, and the power to find one.

Runs of one seed share initial weights, data order and augmentation, so methods are compared by
the differences `d_s = a_s - b_s` of each seed `s`:

    interval = mean(d) ± t_{1 - alpha/2, S-1} sd(d) / sqrt(S)
    power(S) = P(|T| > t_{1 - alpha/2, S-1}),  T ~ noncentral t(S-1, delta sqrt(S) / sd(d))
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["Difference", "detectable_difference", "paired_difference", "power", "seeds_needed"]

MOST_SEEDS = 10_000


@dataclasses.dataclass(frozen=True)
class Difference:
    """A paired difference over seeds.

    Attributes:
        mean: of the differences.
        deviation: their sample standard deviation; None with one seed.
        half_width: of the confidence interval around `mean`; None with one seed.
        seeds: number of pairs.
    """

    mean: float
    deviation: float | None
    half_width: float | None
    seeds: int

    @property
    def separated(self) -> bool:
        """Whether the interval excludes 0."""
        return self.half_width is not None and abs(self.mean) > self.half_width

    def in_points(self) -> str:
        """The mean and, with more than one seed, the interval, in hundredths.

        Example:
            >>> Difference(0.0064, 0.005, 0.0062, 5).in_points()
            '+0.64 [+0.02, +1.26]'
        """
        mean = f"{100 * self.mean:+.2f}"
        if self.half_width is None:
            return mean
        low, high = (100 * (self.mean + sign * self.half_width) for sign in (-1, 1))
        return f"{mean} [{low:+.2f}, {high:+.2f}]"


def _t(confidence: float, degrees: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + confidence / 2, degrees))


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95
) -> Difference:
    """The mean of `first - second`, pair by pair, and its interval.

    Raises:
        SparseBNNError: no pairs, or sequences of different lengths.

    Example:
        >>> d = paired_difference([0.88, 0.87, 0.89], [0.87, 0.87, 0.87])
        >>> round(d.mean, 4), round(d.half_width, 4), d.separated
        (0.01, 0.0248, False)
    """
    if not first or len(first) != len(second):
        raise SparseBNNError(
            "Expected pairs, one run of each method for each seed, got "
            f"{len(first)} and {len(second)}."
        )
    differences = [a - b for a, b in zip(first, second, strict=True)]
    seeds, mean = len(differences), statistics.fmean(differences)
    if seeds == 1:
        return Difference(mean, None, None, 1)
    deviation = statistics.stdev(differences)
    half_width = _t(confidence, seeds - 1) * deviation / math.sqrt(seeds)
    return Difference(mean, deviation, half_width, seeds)


def power(
    difference: float, deviation: float, seeds: int, *, confidence: float = 0.95
) -> float:
    """The chance that a paired t-test over that many seeds detects a true `difference`."""
    from scipy.stats import nct

    if seeds < 2:
        return 0.0
    if deviation == 0:
        return 1.0
    degrees, shift = seeds - 1, abs(difference) * math.sqrt(seeds) / deviation
    critical = _t(confidence, degrees)
    # The other tail needs an estimate of the wrong sign, so it is negligible; SciPy's
    # noncentral t gives NaN there for large shifts.
    return float(nct.sf(critical, degrees, shift))


def seeds_needed(
    difference: float, deviation: float, *, chance: float = 0.8, confidence: float = 0.95
) -> int | None:
    """Seeds for which a true `difference` is detected with probability `chance`.

    Args:
        difference: in the unit of `deviation`, not 0.
        deviation: the standard deviation of paired differences.
        chance: the power asked for, in (0, 1).
        confidence: level of the interval that has to exclude 0.

    Returns:
        At least 2; None if more than 10,000 are needed.

    Raises:
        SparseBNNError: `difference` is 0, `deviation` negative or one of them not finite.

    Example:
        >>> seeds_needed(0.5, 0.5), seeds_needed(0.5, 1.0), seeds_needed(0.001, 1.0)
        (10, 34, None)
    """
    if not (math.isfinite(difference) and difference and math.isfinite(deviation)) or (
        deviation < 0
    ):
        raise SparseBNNError(
            f"Expected a difference other than 0 and a deviation of at least 0, got "
            f"{difference} and {deviation}."
        )
    low, high = 1, 2
    while power(difference, deviation, high, confidence=confidence) < chance:
        low, high = high, 2 * high
        if low >= MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(difference, deviation, middle, confidence=confidence) >= chance
        low, high = (low, middle) if enough else (middle, high)
    return high if high <= MOST_SEEDS else None


def detectable_difference(
    deviation: float, seeds: int, *, chance: float = 0.8, confidence: float = 0.95
) -> float:
    """The true difference that `seeds` seeds detect with probability `chance`.

    Raises:
        SparseBNNError: fewer than 2 seeds, or a negative `deviation`.

    Example:
        >>> round(detectable_difference(0.3, 5), 2)
        0.5
    """
    if seeds < 2 or deviation < 0:
        raise SparseBNNError(
            f"Expected at least 2 seeds and a deviation of at least 0, got {seeds} and "
            f"{deviation}."
        )
    low, high = 0.0, deviation
    while power(high, deviation, seeds, confidence=confidence) < chance:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        enough = power(middle, deviation, seeds, confidence=confidence) >= chance
        low, high = (low, middle) if enough else (middle, high)
    return high
