"""A random subset of the codebook: the baseline."""

from __future__ import annotations

from keras_sparsebnn.quantizers.register import register_quantizer
from keras_sparsebnn.quantizers.subset_kernel import SubsetKernel

__all__ = ["FixedSubset"]


@register_quantizer("fixed_subset")
class FixedSubset(SubsetKernel):
    r"""A random subset of n codewords, drawn once from `seed` and never learned.

    The baseline that a selection method has to beat. Arguments, shape, gradient and errors
    as in `SubsetKernel`.

    Example:
        >>> FixedSubset(codewords=16, seed=1).get_config()["codewords"]
        16
    """
