"""How an option changes over training: functions of its progress."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers.incremental import ALL_KERNELS

__all__ = [
    "Progress",
    "cosine",
    "fraction_of",
    "freeze_after",
    "geometric",
    "incremental",
    "linear",
]

Progress: TypeAlias = Callable[[float], float]
"""From the fraction of training done, in [0, 1], to a value."""


def fraction_of(name: str, value: float) -> float:
    """`value`, a fraction of training in (0, 1]."""
    if not 0 < value <= 1:
        raise SparseBNNError(f"Expected `{name}` in (0, 1], got {value}.")
    return value


def linear(start: float, end: float, *, until: float = 1.0) -> Progress:
    """From `start` to `end` in a straight line, there after the fraction `until` of training.

    Example:
        >>> [linear(1.0, 0.0, until=0.5)(p) for p in (0.0, 0.25, 0.5, 1.0)]
        [1.0, 0.5, 0.0, 0.0]
    """
    fraction_of("until", until)
    return lambda progress: start + (end - start) * min(1.0, progress / until)


def cosine(start: float, end: float, *, until: float = 1.0) -> Progress:
    """From `start` to `end` along half a cosine, there after the fraction `until`.

    Example:
        >>> [round(cosine(1.0, 0.0)(p), 3) for p in (0.0, 0.25, 0.5, 1.0)]
        [1.0, 0.854, 0.5, 0.0]
    """
    fraction_of("until", until)
    return lambda progress: (
        end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress / until)))
    )


def geometric(start: float, end: float, *, until: float = 1.0) -> Progress:
    """From `start` to `end` by equal factors, there after the fraction `until`.

    Example:
        >>> [round(geometric(0.1, 10.0)(p), 3) for p in (0.0, 0.25, 0.5, 1.0)]
        [0.1, 0.316, 1.0, 10.0]
    """
    fraction_of("until", until)
    for name, value in (("start", start), ("end", end)):
        if not value > 0:
            raise SparseBNNError(f"Expected `{name}` to be > 0, got {value}.")
    return lambda progress: start * (end / start) ** min(1.0, progress / until)


def incremental(since: float, until: float) -> Progress:
    """The `tolerance` of `quantizers.Incremental`: 0, then rising to 1, then all kernels.

    Args:
        since: the fraction of training up to which no kernel has to be a codeword, >= 0.
        until: the fraction from which on all have to, above `since`, at most 1.

    Example:
        >>> [incremental(0.25, 0.75)(p) for p in (0.25, 0.5, 0.75)]
        [0.0, 0.5, 3.0]
    """
    fraction_of("until", until)
    if not 0 <= since < until:
        raise SparseBNNError(f"Expected `since` in [0, {until}), got {since}.")

    def tolerance(progress: float) -> float:
        if progress >= until:
            return ALL_KERNELS
        return max(0.0, (progress - since) / (until - since))

    return tolerance


def freeze_after(fraction: float, interval: int = 1) -> Progress:
    """A `refresh_interval`: `interval`, then 0 (frozen) after that fraction of training.

    Example:
        >>> [freeze_after(0.4, interval=3)(p) for p in (0.0, 0.39, 0.4, 1.0)]
        [3.0, 3.0, 0.0, 0.0]
    """
    fraction_of("fraction", fraction)
    return lambda progress: float(interval) if progress < fraction else 0.0
