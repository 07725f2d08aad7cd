"""When the codewords of `quantizers.SwapSearch` are exchanged."""

from __future__ import annotations

from typing import Any

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import sparse_quantizer
from keras_sparsebnn.quantizers import SwapSearch

__all__ = ["SwapSchedule"]


class SwapSchedule(keras.callbacks.Callback):  # type: ignore[misc]
    r"""Lets every `SwapSearch` of the model exchange codewords, until it may no more.

    What is done before step `t` depends on `t`, the optimizer's counter, the seed and the
    latent kernels alone: a resumed training goes on as if never cut off.

    Args:
        interval: optimizer updates between two searches, >= 1.
        until: the fraction of training, in (0, 1], after which codewords stay.
        total_steps: where the fraction is 1; epochs x steps of the running `fit` if None.

    Raises:
        SparseBNNError: a value out of range, or unknown `total_steps`.

    Example:
        >>> SwapSchedule(interval=50, until=0.5, total_steps=1000).is_due(500)
        True
    """

    def __init__(
        self, interval: int = 50, until: float = 0.5, *, total_steps: int | None = None
    ) -> None:
        super().__init__()
        if isinstance(interval, bool) or interval < 1:
            raise SparseBNNError(f"Expected `interval` to be at least 1, got {interval}.")
        if not 0 < until <= 1:
            raise SparseBNNError(f"Expected `until` in (0, 1], got {until}.")
        if total_steps is not None and total_steps < 1:
            raise SparseBNNError(f"Expected `total_steps` to be at least 1, got {total_steps}.")
        self.interval = interval
        self.until = until
        self.total_steps = total_steps

    def is_due(self, step: int) -> bool:
        """Whether there is a search before optimizer step `step`."""
        total = self.total_steps
        if total is None:
            params = getattr(self, "params", None) or {}  # Keras sets it when training starts
            epochs, steps = params.get("epochs"), params.get("steps")
            if not epochs or not steps:
                raise SparseBNNError(
                    "Expected `total_steps`, because the dataset's size is unknown. "
                    "Give SwapSchedule(..., total_steps=epochs * steps_per_epoch)."
                )
            total = int(epochs * steps)
        return 0 < step <= self.until * total and step % self.interval == 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        step = int(keras.backend.get_value(self.model.optimizer.iterations))
        if not self.is_due(step):
            return
        for layer in self.model._flatten_layers(include_self=False):
            quantizer = sparse_quantizer(layer)
            if isinstance(quantizer, SwapSearch) and quantizer.built:
                with lq.context.quantized_scope(False):
                    latent = tf.convert_to_tensor(layer.kernel)
                quantizer.swap(tf.cast(latent, tf.float32), step)
