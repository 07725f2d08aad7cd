"""The one walk over a model's layers."""

from __future__ import annotations

from collections.abc import Iterator

from keras_sparsebnn._keras import keras

__all__ = ["all_layers", "leaf_layers"]


def leaf_layers(
    model: keras.Model, prefix: str = ""
) -> Iterator[tuple[str, keras.layers.Layer]]:
    """(path, layer) of every layer once, nested models opened.

    Custom layers and wrappers are not opened, see `all_layers`.

    Example:
        >>> inner = keras.Sequential([keras.layers.Dense(2, name="dense")], name="inner")
        >>> [path for path, _ in leaf_layers(keras.Sequential([inner]))]
        ['inner/dense']
    """
    seen: set[int] = set()
    for path, layer in _leaves(model, prefix):
        if id(layer) not in seen:
            seen.add(id(layer))
            yield path, layer


def _leaves(model: keras.Model, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
    for layer in model.layers:
        path = f"{prefix}{layer.name}"
        if isinstance(layer, keras.Model):
            yield from _leaves(layer, f"{path}/")
        else:
            yield path, layer


def all_layers(model: keras.Model) -> Iterator[tuple[str, keras.layers.Layer]]:
    """(path, layer) of every layer once, those inside custom layers and wrappers included.

    A layer comes right before the layers inside it.

    Example:
        >>> timed = keras.layers.TimeDistributed(keras.layers.Dense(2, name="d"), name="timed")
        >>> [path for path, _ in all_layers(keras.Sequential([timed]))]
        ['timed', 'timed/d']
    """
    seen: set[int] = set()
    for path, layer in leaf_layers(model):
        inner = layer._flatten_layers(include_self=False)
        pairs = [(path, layer), *((f"{path}/{part.name}", part) for part in inner)]
        for name, part in pairs:
            if id(part) not in seen:
                seen.add(id(part))
                yield name, part
