"""The codewords that a trained 1-bit network uses most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn.quantizers.chosen_kernel import ChosenKernel
from keras_sparsebnn.quantizers.register import register_quantizer
from keras_sparsebnn.selection.frequency import most_frequent

__all__ = ["Frequent"]


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
        ids = codebook.encode(kernels, self.kernel_size)
        size = codebook.codebook_size(self.kernel_size)
        return most_frequent(ids, self.codewords, size, seed=self.seed)
