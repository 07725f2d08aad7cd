"""Batch-norm statistics, measured again for the kernels that are deployed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.transforms.cloning import clone_with
from keras_sparsebnn.transforms.walk import all_layers

__all__ = ["BatchNormStatistics", "normalise_by_batch", "reestimate_batch_norm"]


class _ByBatch:
    """Takes over the calls of a batch norm, which then normalises by the batch.

    Its moving statistics become the means over its calls since `calls` was 0.
    """

    def __init__(self, norm: keras.layers.BatchNormalization) -> None:
        self.calls = 0
        self.norm = norm
        self._call = norm.call
        norm.call = self.call

    def call(self, inputs: tf.Tensor, training: bool | None = None, **kwargs: Any) -> tf.Tensor:
        self.calls += 1
        self.norm.momentum = 1 - 1 / self.calls
        trainable = self.norm.trainable
        self.norm.trainable = True  # frozen, it would neither use nor keep the batch's
        try:
            return self._call(inputs, training=True, **kwargs)
        finally:
            self.norm.trainable = trainable


def normalise_by_batch(model: keras.Model) -> list[_ByBatch]:
    """Has all batch norms normalise by the batch, in inference too: in place, for good."""
    layers = [layer for _, layer in all_layers(model)]
    return [_ByBatch(x) for x in layers if isinstance(x, keras.layers.BatchNormalization)]


def reestimate_batch_norm(
    model: keras.Model, batches: Iterable[Any], *, steps: int | None = None
) -> int:
    r"""Replaces all moving means and variances by averages over `batches`.

    Training leaves moving averages over noisy or still changing kernels; evaluation uses the
    noise-free selection. This averages the batch statistics of the latter, each batch weighing
    the same: `mean = 1/T sum_t mean_t`, likewise the variance; where a batch norm is called
    several times, each call. Those inside custom layers and wrappers are replaced, too.
    Everything else is in inference mode, and nothing else of the model changes.

    Args:
        model: a Sequential or functional model, trained or frozen.
        batches: inputs, or (inputs, labels, ...) tuples; a `tf.data.Dataset` fits.
        steps: stop after that many batches; all of them if None.

    Returns:
        The number of batches used; 0, without reading any, if there is no batch norm.

    Raises:
        SparseBNNError: no batch came, or the model is subclassed.
    """

    return BatchNormStatistics(model).measure(batches, steps)


class BatchNormStatistics:
    """`reestimate_batch_norm` of a model whose other weights change.

    Args:
        model: as there.
        compiled: whether to make a graph, which pays if it is measured many times.
    """

    def __init__(self, model: keras.Model, *, compiled: bool = False) -> None:
        measuring, self._pairs = clone_with(model, lambda layer: None)
        layers = [layer for _, layer in all_layers(model)]
        self._norms = [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]
        self._measuring = normalise_by_batch(measuring)

        def forward(inputs: tf.Tensor) -> None:
            for norm in self._measuring:
                norm.calls = 0
            measuring(inputs, training=False)

        self._forward = tf.function(forward, reduce_retracing=True) if compiled else forward

    def measure(self, batches: Iterable[Any], steps: int | None = None) -> int:
        """As `reestimate_batch_norm`."""
        if not self._norms:
            return 0
        for layer, copy in self._pairs:
            copy.set_weights(layer.get_weights())
        copies = [by_batch.norm for by_batch in self._measuring]
        sums = [np.zeros((2, copy.moving_mean.shape[0])) for copy in copies]
        count = 0
        for batch in batches:
            if steps is not None and count >= steps:
                break
            self._forward(batch[0] if isinstance(batch, tuple) else batch)
            for total, copy in zip(sums, copies, strict=True):
                total += [copy.moving_mean.numpy(), copy.moving_variance.numpy()]
            count += 1
        if count == 0:
            raise SparseBNNError("Expected at least one batch to measure, got none.")
        for total, layer in zip(sums, self._norms, strict=True):
            mean, variance = total / count
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)
        return count
