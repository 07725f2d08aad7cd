"""Networks: builders only, no training code."""

from keras_sparsebnn.models.small import small

__all__ = ["MODELS", "small"]

MODELS = {"small": small}
"""What `sparsebnn train --model` accepts."""
