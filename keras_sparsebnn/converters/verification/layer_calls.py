"""Runs a Keras model eagerly and hands every layer call to a function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.transforms.walk import leaf_layers

__all__ = ["LayerCall", "run_layer_by_layer", "zero_inputs"]


@dataclass(frozen=True)
class LayerCall:
    """One call of one layer; a shared layer has several.

    Attributes:
        layer: the layer, never a nested model.
        path: its name, after those of the nested models it is in.
        inputs: all tensors it was given.
        output: what it returned.
        repeat: the same call with another first argument.
    """

    layer: keras.layers.Layer
    path: str
    inputs: tuple[tf.Tensor, ...]
    output: tf.Tensor
    repeat: Callable[[tf.Tensor], tf.Tensor]


def zero_inputs(model: keras.Model) -> list[tf.Tensor]:
    """One all-zero input per model input, batch 1 where the model leaves it open."""
    return [tf.zeros([extent or 1 for extent in x.shape], x.dtype) for x in model.inputs]


def run_layer_by_layer(
    model: keras.Model, inputs: list[tf.Tensor], visit: Callable[[LayerCall], tf.Tensor]
) -> list[tf.Tensor]:
    """The model's outputs, with each layer's output replaced by what `visit` returns for it.

    Args:
        model: a functional or Sequential model. Its layers are wrapped during the run and
            restored after it.
        inputs: a tensor per model input.
        visit: gets every call in execution order; layers after it see what it returns.
    """
    wrapped: list[keras.layers.Layer] = []
    try:
        for path, layer in leaf_layers(model):
            _wrap(layer, path, visit)
            wrapped.append(layer)
        outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    finally:
        for layer in wrapped:
            layer.call = layer.call.__wrapped__
    return list(tf.nest.flatten(outputs))


def _wrap(
    layer: keras.layers.Layer, path: str, visit: Callable[[LayerCall], tf.Tensor]
) -> None:
    call = layer.call

    @functools.wraps(call)
    def visited(*args: object, **kwargs: object) -> tf.Tensor:
        output = call(*args, **kwargs)
        tensors = tuple(x for x in tf.nest.flatten((args, kwargs)) if tf.is_tensor(x))
        return visit(
            LayerCall(layer, path, tensors, output, lambda x: call(x, *args[1:], **kwargs))
        )

    layer.call = visited
