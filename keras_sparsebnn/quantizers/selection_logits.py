"""What decides which codewords a `SparseKernel` selects: one class for each form of logits."""

from __future__ import annotations

import abc

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import tf
from keras_sparsebnn.quantizers.learned_subset import LearnedSubset

__all__ = ["Ids", "SelectionLogits"]

Ids = npt.NDArray[np.int64]


class SelectionLogits(abc.ABC):
    """The variables that decide a quantizer's selection, and how they do.

    They are the quantizer's: Keras saves them with it, and schedules find them by name.

    Args:
        quantizer: whose selection it is.
        refresh_interval: updates between two matchings; 0: none.
    """

    step: tf.Variable
    refresh_interval: tf.Variable

    def __init__(self, quantizer: LearnedSubset, refresh_interval: int) -> None:
        self.quantizer = quantizer
        self._initial_interval = refresh_interval

    @abc.abstractmethod
    def initial_selection(self, rows: Ids | None) -> Ids:
        """The selection at the start; `rows` are the codewords to start with, if any."""

    @abc.abstractmethod
    def build(self, rows: Ids | None) -> None:
        """Adds the variables; files of saved weights know them by their order."""

    @abc.abstractmethod
    def start_from(self, rows: Ids) -> None:
        """Starts anew from these codewords, eagerly, between two steps."""

    @abc.abstractmethod
    def begin(self) -> None:
        """The layer enters the stage "codewords", eagerly, between two steps."""

    @abc.abstractmethod
    def after_update(self, value: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """See `LearnedSubset`."""

    @abc.abstractmethod
    def codewords(self, training: bool | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`(U [k*k, n], ids [n])` with a gradient, where `training` is a tensor or true."""

    def _state(
        self,
        name: str,
        value: npt.ArrayLike,
        dtype: tf.DType,
        *,
        summed: bool = False,
    ) -> tf.Variable:
        variable = self.quantizer._add_state(name, value, dtype, summed=summed)
        setattr(self.quantizer, name, variable)
        return variable

    def _trained(self, name: str, value: npt.NDArray[np.float32]) -> tf.Variable:
        variable = self.quantizer._add_trained(name, value)
        setattr(self.quantizer, name, variable)
        return variable

    def _last_matching(self) -> tf.Tensor:
        """The update that the last matching followed."""
        step = tf.convert_to_tensor(self.step)
        return step - step % tf.maximum(self.refresh_interval, 1)

    def _due(self, step: tf.Tensor) -> tf.Tensor:
        """Whether a matching follows update number `step`."""
        interval = tf.convert_to_tensor(self.refresh_interval)
        return tf.logical_and(interval > 0, tf.equal(step % tf.maximum(interval, 1), 0))
