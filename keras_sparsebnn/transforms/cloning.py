"""Copies of a model with some of its layers replaced, weights included."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from keras_sparsebnn._keras import keras
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.transforms.kernels import check_finite
from keras_sparsebnn.transforms.walk import all_layers, leaf_layers

__all__ = ["Pairs", "check_replaceable", "clone_with"]

Pairs = list[tuple[keras.layers.Layer, keras.layers.Layer]]
"""Layers of a model, each with its copy."""

Config = dict[str, Any]
"""A layer's configuration."""

# What Keras raises where a configuration does not describe its layer.
_NOT_FROM_CONFIG = (
    *(AttributeError, KeyError, NameError, NotImplementedError, TypeError, ValueError),
)


def clone_with(
    model: keras.Model,
    replace: Callable[[keras.layers.Layer], keras.layers.Layer | None],
    *,
    configured: Callable[[Config], Config] = dict,
) -> tuple[keras.Model, Pairs]:
    """A copy of `model`, nested models included, that shares no weights with it.

    What is in several nested models is one layer in the copy, too. Wrappers such as
    `TimeDistributed` are copied around the copy of their layer. Other layers inside layers are
    copied as their owner's configuration says, and not replaced: see `check_replaceable`.

    Args:
        model: a built Sequential or functional model.
        replace: called with each layer; returns the layer to put in its place, or None for a
            plain copy, whose weights are copied too. The weights of a replacement are left to
            the caller.
        configured: called with the configuration of each layer that is not replaced; returns
            that of its copy.

    Returns:
        The copy, and the layers with their copies, in the model's order.

    Raises:
        SparseBNNError: the model is subclassed, so that Keras cannot clone it, or not built;
            a layer cannot be made from its configuration, or has weights that are not finite.
    """
    _check_cloneable(model)
    for path, layer in leaf_layers(model):
        check_finite(path, layer)
    pairs: Pairs = []
    plain: Pairs = []
    wrappers: Pairs = []
    copies: dict[int, keras.layers.Layer] = {}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if id(layer) not in copies:
            copies[id(layer)] = made(layer)
        return copies[id(layer)]

    def of_model(model: keras.Model) -> keras.Model:
        copy = keras.models.clone_model(model, clone_function=clone)
        copy._trainable = model.trainable  # the public setter goes down to its layers
        return copy

    def made(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            _check_cloneable(layer)
            return of_model(layer)
        copy = replace(layer)
        if copy is None and _wraps_one(layer):
            inside = replace(layer.layer)
            if inside is not None:
                serialized = {"layer": keras.layers.serialize(inside)}
                copy = _copy(layer, lambda config: {**configured(config), **serialized})
                wrappers.append((layer, copy))
                return copy
        if copy is None:
            copy = _copy(layer, configured)
            plain.append((layer, copy))
        pairs.append((layer, copy))
        return copy

    copied = of_model(model)
    for layer, copy in plain:
        copy.set_weights(layer.get_weights())
    for layer, copy in wrappers:
        pairs.append((layer.layer, copy.layer))
        inner = {id(weight) for part in (layer.layer, copy.layer) for weight in part.weights}
        own = [[w for w in part.weights if id(w) not in inner] for part in (layer, copy)]
        for before, after in zip(*own, strict=True):
            after.assign(before)
    return copied, pairs


def _check_cloneable(model: keras.Model) -> None:
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


def _copy(
    layer: keras.layers.Layer, configured: Callable[[Config], Config]
) -> keras.layers.Layer:
    """A new layer from the changed configuration of another.

    Functions that a configuration cannot describe, of `Lambda` layers and activations, are
    handed on as they are.
    """
    try:
        config = configured(layer.get_config())
        if isinstance(layer, keras.layers.Lambda):
            base = {key: config[key] for key in ("name", "trainable", "dtype")}
            return type(layer)(
                layer.function,
                output_shape=layer._output_shape,
                mask=layer.mask,
                arguments=layer.arguments,
                **base,
            )
        for name in config:
            value = getattr(layer, name, None)
            if inspect.isfunction(value):
                config[name] = value
        return type(layer).from_config(config)
    except SparseBNNError:
        raise
    except _NOT_FROM_CONFIG as error:
        reason = " ".join(str(error).split())[:160]
        raise SparseBNNError(
            f"Expected a layer that can be made again from its get_config(), got "
            f"{type(layer).__name__} (layer {layer.name}): {reason}"
        ) from error


def _wraps_one(layer: keras.layers.Layer) -> bool:
    """Whether all of a wrapper's layers are in `layer.layer`."""
    if not isinstance(layer, keras.layers.Wrapper):
        return False
    inner = layer.layer._flatten_layers()
    return {id(x) for x in layer._flatten_layers(include_self=False)} == {id(x) for x in inner}


def check_replaceable(
    model: keras.Model, concerns: Callable[[keras.layers.Layer], bool]
) -> None:
    """Refuses a model if a layer to be replaced is inside a custom layer.

    Args:
        model: any model.
        concerns: tells whether a layer is to be replaced.

    Raises:
        SparseBNNError: if so; names both layers.
    """
    reachable = set()
    for _, layer in leaf_layers(model):
        reachable.add(id(layer))
        if _wraps_one(layer):
            reachable.add(id(layer.layer))
    outer: dict[str, keras.layers.Layer] = dict(leaf_layers(model))
    for path, layer in all_layers(model):
        if id(layer) not in reachable and concerns(layer):
            owner = next(x for p, x in outer.items() if path.startswith(f"{p}/"))
            raise SparseBNNError(
                f"Expected binary layers in the model itself, got {layer.name} inside "
                f"{type(owner).__name__} (layer {owner.name}), whose code cannot be changed. "
                "Build that part from layers, as a function or a nested keras.Model."
            )
