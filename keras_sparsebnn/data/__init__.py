"""Data sets of images, in an order that a run can resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_sparsebnn._lazy import named_when_asked
from keras_sparsebnn.data.options import AUGMENTATIONS

if TYPE_CHECKING:
    from keras_sparsebnn.data.dataset import Dataset
    from keras_sparsebnn.data.sources import load

__all__ = ["AUGMENTATIONS", "Dataset", "load"]

_HOME = {"Dataset": "dataset", "load": "sources"}

# Lazy: the names of augmentations take no TensorFlow.
__getattr__ = named_when_asked(__name__, _HOME)
