"""Data sets of images, in an order that a run can resume."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from keras_sparsebnn.data.options import AUGMENTATIONS

if TYPE_CHECKING:
    from keras_sparsebnn.data.dataset import Dataset
    from keras_sparsebnn.data.sources import load

__all__ = ["AUGMENTATIONS", "Dataset", "load"]

_HOME = {"Dataset": "dataset", "load": "sources"}


def __getattr__(name: str) -> Any:
    # Lazy: the names of augmentations take no TensorFlow.
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
