"""Networks: builders only, no training code."""

from keras_sparsebnn.models.resnet import resnet18
from keras_sparsebnn.models.small import small

__all__ = ["MODELS", "resnet18", "small"]

MODELS = {"resnet18": resnet18, "small": small}
"""What `sparsebnn train --model` accepts."""
