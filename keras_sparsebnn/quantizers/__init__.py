"""Kernel quantizers, usable as `kernel_quantizer=` on larq's convolutions."""

from keras_sparsebnn.quantizers.chosen_kernel import ChosenKernel
from keras_sparsebnn.quantizers.facility_location import FacilityLocation
from keras_sparsebnn.quantizers.frequent import Frequent
from keras_sparsebnn.quantizers.incremental import Incremental
from keras_sparsebnn.quantizers.one_bit import OneBit
from keras_sparsebnn.quantizers.product_quantization import ProductQuantization
from keras_sparsebnn.quantizers.snn import SNN
from keras_sparsebnn.quantizers.sparse_kernel import SparseKernel
from keras_sparsebnn.quantizers.subset_kernel import STAGES, FixedSubset, SubsetKernel

__all__ = [
    "METHODS",
    "SNN",
    "STAGES",
    "ChosenKernel",
    "FacilityLocation",
    "FixedSubset",
    "Frequent",
    "Incremental",
    "OneBit",
    "ProductQuantization",
    "SparseKernel",
    "SubsetKernel",
]

METHODS: dict[str, type[SubsetKernel]] = {
    "facility_location": FacilityLocation,
    "frequent": Frequent,
    "incremental": Incremental,
    "learned": SparseKernel,
    "one_bit": OneBit,
    "product_quantization": ProductQuantization,
    "random": FixedSubset,
    "snn": SNN,
}
"""By the name that `sparsebnn train --method` knows; see docs/methods.md."""
