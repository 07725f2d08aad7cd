"""The sign patterns that occur most often."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook

__all__ = ["most_frequent"]


def most_frequent(
    kernels: codebook.Floats, n: int, kernel_size: int = 3, *, seed: int = 0
) -> npt.NDArray[np.int64]:
    """The n sign patterns that most kernels have, most frequent first.

    Args:
        kernels: latent kernels.
        n: how many, at most N.
        kernel_size: k.
        seed: decides between equally frequent ones; the order of ids would favour patterns
            with positive late taps.

    Shape:
        `[C, k*k]` -> `[n]`.

    Example:
        >>> most_frequent(codebook.codewords()[[5, 7, 7, 7, 5, 9]], 2).tolist()
        [7, 5]
    """
    size = codebook.codebook_size(kernel_size)
    counts = np.bincount(codebook.encode(kernels, kernel_size), minlength=size)
    ties = np.random.default_rng(seed).permutation(size)
    return np.asarray(np.lexsort((ties, -counts))[:n], np.int64)
