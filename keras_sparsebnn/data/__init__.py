"""Data sets of images, in an order that a run can resume."""

from keras_sparsebnn.data.dataset import AUGMENTATIONS, Dataset, load

__all__ = ["AUGMENTATIONS", "Dataset", "load"]
