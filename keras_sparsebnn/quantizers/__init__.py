"""Kernel quantizers, usable as `kernel_quantizer=` on larq's convolutions.

They load when they are first used: `quantizers.methods`, the table of them, is read where
TensorFlow must not be imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from keras_sparsebnn._lazy import named_when_asked

if TYPE_CHECKING:
    from keras_sparsebnn.quantizers.chosen_kernel import ChosenKernel
    from keras_sparsebnn.quantizers.facility_location import FacilityLocation
    from keras_sparsebnn.quantizers.factory import KernelQuantizer, make_quantizer
    from keras_sparsebnn.quantizers.fixed_subset import FixedSubset
    from keras_sparsebnn.quantizers.frequent import Frequent
    from keras_sparsebnn.quantizers.incremental import Incremental
    from keras_sparsebnn.quantizers.odd_integers import OddIntegers
    from keras_sparsebnn.quantizers.one_bit import OneBit
    from keras_sparsebnn.quantizers.product_quantization import ProductQuantization
    from keras_sparsebnn.quantizers.rbonn import RBONN
    from keras_sparsebnn.quantizers.register import register_quantizer
    from keras_sparsebnn.quantizers.snn import SNN
    from keras_sparsebnn.quantizers.sparse_kernel import SparseKernel
    from keras_sparsebnn.quantizers.subset_kernel import (
        STAGES,
        SubsetKernel,
        sparse_quantizer,
        validate_codewords,
    )

    METHODS: dict[str, type[SubsetKernel]]
    """Classes by the name that `sparsebnn train --method` takes; see docs/methods.md."""

__all__ = [
    "METHODS",
    "RBONN",
    "SNN",
    "STAGES",
    "ChosenKernel",
    "FacilityLocation",
    "FixedSubset",
    "Frequent",
    "Incremental",
    "KernelQuantizer",
    "OddIntegers",
    "OneBit",
    "ProductQuantization",
    "SparseKernel",
    "SubsetKernel",
    "make_quantizer",
    "register_quantizer",
    "sparse_quantizer",
    "validate_codewords",
]

_HOME = {
    "RBONN": "rbonn",
    "SNN": "snn",
    "STAGES": "subset_kernel",
    "ChosenKernel": "chosen_kernel",
    "FacilityLocation": "facility_location",
    "FixedSubset": "fixed_subset",
    "Frequent": "frequent",
    "Incremental": "incremental",
    "KernelQuantizer": "factory",
    "OddIntegers": "odd_integers",
    "OneBit": "one_bit",
    "ProductQuantization": "product_quantization",
    "SparseKernel": "sparse_kernel",
    "SubsetKernel": "subset_kernel",
    "make_quantizer": "factory",
    "register_quantizer": "register",
    "sparse_quantizer": "subset_kernel",
    "validate_codewords": "subset_kernel",
}


_named = named_when_asked(__name__, _HOME)


def __getattr__(name: str) -> object:
    if name != "METHODS":
        return _named(name)
    table = importlib.import_module(f"{__name__}.methods").METHODS
    classes = {key: _named(method.quantizer) for key, method in table.items()}
    return globals().setdefault("METHODS", classes)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
