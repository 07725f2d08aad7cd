"""Kernel quantizers, usable as `kernel_quantizer=` on larq's convolutions."""

from keras_sparsebnn.quantizers.one_bit import OneBit
from keras_sparsebnn.quantizers.sparse_kernel import SparseKernel
from keras_sparsebnn.quantizers.subset_kernel import FixedSubset, SubsetKernel

__all__ = ["METHODS", "FixedSubset", "OneBit", "SparseKernel", "SubsetKernel"]

METHODS: dict[str, type[SubsetKernel]] = {
    "learned": SparseKernel,
    "one_bit": OneBit,
    "random": FixedSubset,
}
"""By the name that `sparsebnn train --method` knows; see docs/methods.md."""
