"""The codewords that a trained 1-bit network uses most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn.quantizers.chosen_kernel import ChosenKernel
from keras_sparsebnn.quantizers.register import register_quantizer

__all__ = ["Frequent", "most_frequent"]


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


@register_quantizer("frequent")
class Frequent(ChosenKernel):
    r"""The n most frequent sign patterns of the 1-bit kernels, chosen once.

    `U = top-n_u |{c : sign(w_c) = u}|`; everything else as in `ChosenKernel`.

    Example:
        >>> Frequent(16).starts_as
        'sign'

    Reference: Wang et al., "Compacting Binary Neural Networks by Sparse Kernel Selection",
    CVPR 2023, arXiv:2303.14470, whose first observation is that few codewords make up most of
    a 1-bit network (from memory of the paper). Deviates: training goes on after the choice.
    """

    def choice(self, kernels: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        return most_frequent(kernels, self.codewords, self.kernel_size, seed=self.seed)
