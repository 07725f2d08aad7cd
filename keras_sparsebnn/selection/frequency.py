"""The sign patterns that occur most often."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["most_frequent"]


def most_frequent(
    ids: npt.NDArray[np.integer[Any]], n: int, size: int, *, seed: int = 0
) -> npt.NDArray[np.int64]:
    """The n sign patterns that most kernels have, most frequent first.

    Args:
        ids: the sign pattern of each kernel, as `codebook.encode` numbers them.
        n: how many, at most N.
        size: N, the patterns that there are.
        seed: decides between equally frequent ones; the order of ids would favour patterns
            with positive late taps.

    Shape:
        `[C]` -> `[n]`.

    Example:
        >>> most_frequent(np.array([5, 7, 7, 7, 5, 9]), 2, 512).tolist()
        [7, 5]
    """
    counts = np.bincount(ids, minlength=size)
    ties = np.random.default_rng(seed).permutation(size)
    return np.asarray(np.lexsort((ties, -counts))[:n], np.int64)
