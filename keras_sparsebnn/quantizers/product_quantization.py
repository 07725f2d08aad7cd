"""The codewords next to the centroids of the real kernels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn.quantizers.chosen_kernel import ChosenKernel
from keras_sparsebnn.quantizers.register import register_quantizer
from keras_sparsebnn.selection.product_quantization import binarised_centroids

__all__ = ["ProductQuantization"]


@register_quantizer("product_quantization")
class ProductQuantization(ChosenKernel):
    r"""The signs of the n centroids of k-means over the layer's real kernels, chosen once.

    `U = {sign(m_j)}`, `m_1..m_n` the centroids of `w_1..w_C`, made distinct as in
    `binarised_centroids`; everything else as in `ChosenKernel`. Product quantisation with the
    k x k kernels as its sub-vectors.

    Example:
        >>> ProductQuantization(16).starts_as
        'sign'

    Reference: Jegou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search", TPAMI
    2011; for convolutions, Stock et al., "And the Bit Goes Down", ICLR 2020, arXiv:1907.05686.
    Deviates: centroids are binarised, and kept as they are afterwards, because a
    centroid that is trained further is not a codeword.
    """

    def choice(self, kernels: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        table = codebook.codewords(self.kernel_size)
        return binarised_centroids(kernels, self.codewords, table, seed=self.seed)
