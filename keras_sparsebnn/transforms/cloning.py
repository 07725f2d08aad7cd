"""Copies of a model with some of its layers replaced, weights included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_sparsebnn._keras import keras
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["clone_with"]


def clone_with(model: Any, replace: Callable[[Any], Any]) -> tuple[Any, list[tuple[Any, Any]]]:
    """A copy of `model`, nested models included, that shares nothing with it.

    Args:
        model: a built Sequential or functional model.
        replace: called with each layer; returns the layer to put in its place, or None for a
            plain copy. A replacement's weights are the caller's affair.

    Returns:
        The copy, and the (layer, copy of the layer) pairs in the model's order.

    Raises:
        SparseBNNError: the model is subclassed, so Keras cannot clone it, or not built.
    """
    if not isinstance(model, keras.Model) or not (
        isinstance(model, keras.Sequential) or getattr(model, "_is_graph_network", False)
    ):
        raise SparseBNNError(
            f"Expected a Sequential or functional model, got {type(model).__name__}: Keras "
            "cannot clone it. Wrap its layers in keras.Model(inputs, outputs)."
        )
    if not model.built:
        raise SparseBNNError(
            f"Expected a built model, got {model.name} without weights. "
            "Call it once, or model.build(input_shape)."
        )
    pairs: list[tuple[Any, Any]] = []
    plain: list[tuple[Any, Any]] = []

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            copy, inner = clone_with(layer, replace)
            pairs.extend(inner)
            return copy
        copy = replace(layer)
        if copy is None:
            copy = type(layer).from_config(layer.get_config())
            plain.append((layer, copy))
        pairs.append((layer, copy))
        return copy

    copied = keras.models.clone_model(model, clone_function=clone)
    for layer, copy in plain:
        copy.set_weights(layer.get_weights())
    return copied, pairs
