"""How a run ends that a signal stopped."""

from __future__ import annotations

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["TrainingInterruptedError"]


class TrainingInterruptedError(SparseBNNError):
    """SIGINT or SIGTERM stopped a run, after a checkpoint.

    Attributes:
        signal: which.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = number
