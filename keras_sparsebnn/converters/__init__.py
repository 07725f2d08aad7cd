"""From Keras to .tflite files, and what is in them.

`inspect`, `convert_file`, `compress`, `expand` and `quantize_weights` work on .tflite files
without TensorFlow; what needs TensorFlow loads on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

# Eager, because each function shares its name with the module it comes from.
from keras_sparsebnn.converters.errors import (
    ConversionError,
    ConversionWarning,
    VerificationError,
)
from keras_sparsebnn.converters.formats import convert_file
from keras_sparsebnn.converters.inspect import ModelReport, inspect
from keras_sparsebnn.converters.int8_weights import quantize_weights
from keras_sparsebnn.converters.subbit import compress, expand
from keras_sparsebnn.converters.verification.report import VerifyReport
from keras_sparsebnn.converters.verification.verify import verify
from keras_sparsebnn.tflite_file import ModelFileError

if TYPE_CHECKING:
    from keras_sparsebnn.converters.lce import convert_keras_model

__all__ = [
    "ConversionError",
    "ConversionWarning",
    "ModelFileError",
    "ModelReport",
    "VerificationError",
    "VerifyReport",
    "compress",
    "convert_file",
    "convert_keras_model",
    "expand",
    "inspect",
    "quantize_weights",
    "verify",
]


def __getattr__(name: str) -> object:
    if name == "convert_keras_model":
        return getattr(importlib.import_module("keras_sparsebnn.converters.lce"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
