"""The codewords that lie closest to all kernels of a trained 1-bit network, greedily."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn.quantizers.chosen_kernel import ChosenKernel
from keras_sparsebnn.quantizers.register import register_quantizer
from keras_sparsebnn.selection.facility_location import greedy_facility_location

__all__ = ["FacilityLocation"]


@register_quantizer("facility_location")
class FacilityLocation(ChosenKernel):
    r"""The n codewords that distort the latent 1-bit kernels least, chosen once, greedily.

    `U = argmax_U sum_c max_{u in U} <u, w_c>` by `greedy_facility_location`; everything else
    as in `ChosenKernel`. Not from a paper on binary networks.

    Example:
        >>> FacilityLocation(16).starts_as
        'sign'
    """

    def choice(self, kernels: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        return greedy_facility_location(
            kernels, self.codewords, codebook.codewords(self.kernel_size)
        )
