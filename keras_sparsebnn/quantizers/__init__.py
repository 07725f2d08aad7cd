"""Kernel quantizers, usable as `kernel_quantizer=` on larq's convolutions."""

from keras_sparsebnn.quantizers.sparse_kernel import SparseKernel
from keras_sparsebnn.quantizers.subset_kernel import FixedSubset, SubsetKernel

__all__ = ["FixedSubset", "SparseKernel", "SubsetKernel"]
