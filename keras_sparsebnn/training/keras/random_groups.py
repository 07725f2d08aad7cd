"""Trains a supernet: each step another network of it."""

from __future__ import annotations

import numpy as np

from keras_sparsebnn._keras import keras
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import SearchableGroupsConv2D
from keras_sparsebnn.training.keras.fit_progress import Logs, check_built, steps_done
from keras_sparsebnn.transforms.walk import all_layers

__all__ = ["RandomGroups", "searchable_layers"]


def searchable_layers(model: keras.Model) -> list[SearchableGroupsConv2D]:
    """The layers whose numbers of groups can change, in the model's order."""
    return [x for _, x in all_layers(model) if isinstance(x, SearchableGroupsConv2D)]


class RandomGroups(keras.callbacks.Callback):  # type: ignore[misc]
    r"""Before each step, draws a number of groups for each layer, all equally likely.

    One path through the supernet a step. What step `t` draws depends on `seed` and `t`, the
    optimizer's counter, alone, so a resumed training draws the same. Choices are variables of
    the layers: nothing is compiled anew, also with `jit_compile=True`. With
    `steps_per_execution=k` the k steps of a call share one draw. At the end every layer has its
    first choice again.

    Args:
        seed: of the draws.

    Raises:
        SparseBNNError: when training starts, a model that is not built, or one without
            `SearchableGroupsConv2D`.

    Reference: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform
    Sampling", ECCV 2020, arXiv:1904.00420, from memory.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def on_train_begin(self, logs: Logs = None) -> None:
        check_built(self.model, self)
        self._layers = searchable_layers(self.model)
        if not self._layers:
            raise SparseBNNError(
                "Expected a supernet, got a model without SearchableGroupsConv2D "
                f'({self.model.name}). Build it with groups="search".'
            )

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        step = steps_done(self.model)
        rng = np.random.default_rng((self.seed, step))
        for layer in self._layers:
            layer.choose(layer.choices[rng.integers(len(layer.choices))])

    def on_train_end(self, logs: Logs = None) -> None:
        for layer in self._layers:
            layer.choose(layer.choices[0])
