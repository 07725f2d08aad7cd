"""What can go wrong between a Keras model and its .tflite."""

from __future__ import annotations

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["ConversionError", "ConversionWarning", "VerificationError"]


class ConversionError(SparseBNNError):
    """A layer did not become what it should in the converted file."""


class ConversionWarning(UserWarning):
    """The file is right, but a layer in it may not be what the user expects."""


class VerificationError(SparseBNNError):
    """The file computes something else than the model.

    Attributes:
        layer: the first layer that differs; None if the file cannot be this model's at all.
    """

    def __init__(self, message: str, layer: str | None = None) -> None:
        super().__init__(message)
        self.layer = layer
