"""Trained models that come with the package. Needs NumPy, and an interpreter to run them."""

from keras_sparsebnn.pretrained.model import KINDS, PretrainedModel, load, names

__all__ = ["KINDS", "PretrainedModel", "load", "names"]
