"""How far a running `fit` has come, as callbacks see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from keras_sparsebnn._keras import keras
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["Logs", "check_built", "check_total_steps", "steps_done", "total_steps_of"]

Logs: TypeAlias = Mapping[str, float] | None


def check_built(model: keras.Model, callback: object) -> None:
    """Raises a `SparseBNNError` if the model that is to be trained has no weights yet."""
    if not model.built:
        raise SparseBNNError(
            f"Expected a built model for {type(callback).__name__}, got {model.name} without "
            "weights. Call it once, or model.build(input_shape)."
        )


def steps_done(model: keras.Model) -> int:
    """The optimizer's counter: steps since it was made, those before a resumption included."""
    return int(keras.backend.get_value(model.optimizer.iterations))


def check_total_steps(given: int | None) -> None:
    """Raises a `SparseBNNError` unless `given` can be the `total_steps` of a callback."""
    if given is not None and given < 1:
        raise SparseBNNError(f"Expected `total_steps` to be at least 1, got {given}.")


def total_steps_of(callback: keras.callbacks.Callback) -> int:
    """The callback's `total_steps`; where None, epochs x steps of the running `fit`."""
    if callback.total_steps is not None:
        return int(callback.total_steps)
    params = getattr(callback, "params", None) or {}  # Keras sets it when training starts
    epochs, steps = params.get("epochs"), params.get("steps")
    if not epochs or not steps:
        raise SparseBNNError(
            "Expected `total_steps`, because the dataset's size is unknown. "
            f"Give {type(callback).__name__}(..., total_steps=epochs * steps_per_epoch)."
        )
    return int(epochs * steps)
