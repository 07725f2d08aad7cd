"""Batch-norm statistics, measured again for the kernels that are deployed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.transforms.cloning import clone_with

__all__ = ["BatchNormStatistics", "reestimate_batch_norm"]


class _BatchStatistics(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Normalises by the batch; its moving statistics are those of the last batch alone."""

    def call(self, inputs: tf.Tensor, training: bool | None = None, **kwargs: Any) -> tf.Tensor:
        return super().call(inputs, training=True, **kwargs)


def reestimate_batch_norm(
    model: keras.Model, batches: Iterable[Any], *, steps: int | None = None
) -> int:
    r"""Replaces all moving means and variances by averages over `batches`.

    Training leaves moving averages over noisy or still changing kernels; evaluation uses the
    noise-free selection. This averages the batch statistics of the latter, each batch weighing
    the same: `mean = 1/T sum_t mean_t`, likewise the variance. Everything else is in inference
    mode, and nothing else of the model changes.

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
        measuring, self._pairs = clone_with(model, _replaced)
        self._norms = [
            (x, copy) for x, copy in self._pairs if isinstance(copy, _BatchStatistics)
        ]
        for _, copy in self._norms:
            copy.trainable = True  # a frozen batch norm would not update its statistics

        def forward(inputs: tf.Tensor) -> None:
            measuring(inputs, training=False)

        self._forward = tf.function(forward, reduce_retracing=True) if compiled else forward

    def measure(self, batches: Iterable[Any], steps: int | None = None) -> int:
        """As `reestimate_batch_norm`."""
        norms = self._norms
        if not norms:
            return 0
        for layer, copy in self._pairs:
            copy.set_weights(layer.get_weights())
        sums = [np.zeros((2, copy.moving_mean.shape[0])) for _, copy in norms]
        count = 0
        for batch in batches:
            if steps is not None and count >= steps:
                break
            self._forward(batch[0] if isinstance(batch, tuple) else batch)
            for total, (_, copy) in zip(sums, norms, strict=True):
                total += [copy.moving_mean.numpy(), copy.moving_variance.numpy()]
            count += 1
        if count == 0:
            raise SparseBNNError("Expected at least one batch to measure, got none.")
        for total, (layer, _) in zip(sums, norms, strict=True):
            mean, variance = total / count
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)
        return count


def _replaced(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    if not isinstance(layer, keras.layers.BatchNormalization):
        return None
    return _BatchStatistics.from_config({**layer.get_config(), "momentum": 0.0})
