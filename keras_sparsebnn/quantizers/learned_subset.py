"""What quantizers share whose codewords follow variables that the optimizer trains."""

from __future__ import annotations

import abc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.quantizers.subset_kernel import SubsetKernel

__all__ = ["LearnedSubset"]


class LearnedSubset(SubsetKernel, abc.ABC):
    r"""n codewords that follow a trained variable.

    The selection is state, not a function of the call: it changes right after an optimizer
    update of the variable, through the variable's Keras `constraint`, which runs exactly once
    an update. So a kernel that is read twice is the same twice, and replicas agree. The
    optimizers of Keras, legacy ones too, and of larq apply constraints. With one that does
    not, the selection would never change: evaluation, freezing and saving warn of it.

    Subclasses add the variable by `_add_trained`, define `_after_update`, and pass their
    codewords through `_noting_gradients`. Their state has a variable `step`, which counts
    updates.
    """

    step: tf.Variable
    _trained: str
    # Step and trained variable when a gradient was requested that no update has followed yet.
    _before_update: tuple[int, bytes] | None = None

    def _add_trained(self, name: str, value: npt.NDArray[np.float32]) -> tf.Variable:
        self._trained = name
        return self.add_weight(
            name=name,
            shape=value.shape,
            dtype=tf.float32,
            initializer=keras.initializers.Constant(value),
            constraint=self._updated,
            experimental_autocast=False,
        )

    @abc.abstractmethod
    def _after_update(self, value: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Makes the selection that update number `step` leads to; returns the new value."""

    def _updated(self, value: tf.Variable) -> tf.Tensor:
        """The trained variable's constraint."""
        step = self.step + 1
        value = self._after_update(tf.convert_to_tensor(value), step)
        self.step.assign(step)
        self._before_update = None
        return value

    def _noting_gradients(self, u: tf.Tensor) -> tf.Tensor:
        """`u`; records that its gradient was requested, after which an update is due."""

        @tf.custom_gradient
        def identity(u: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
            def grad(upstream: tf.Tensor) -> tf.Tensor:
                self._before_update = self._now()
                return upstream

            return tf.identity(u), grad

        return identity(u)

    def _now(self) -> tuple[int, bytes] | None:
        """Step and trained variable, of this process's first replica; None inside graphs."""
        with tf.init_scope():
            if not tf.executing_eagerly():
                return None
            step, trained = (
                variable.values[0]
                if isinstance(variable, tf.distribute.DistributedValues)
                else variable
                for variable in (self.step, getattr(self, self._trained))
            )
            return int(step.numpy()), trained.numpy().tobytes()

    def _warn_without_update(self) -> None:
        before = self._before_update
        now = None if before is None else self._now()
        if before is None or now is None:
            return
        # A gradient alone is no training: saving traces them, too.
        if now[0] == before[0] and now[1] != before[1]:
            self._before_update = None
            warnings.warn(
                f"The codewords of {self.name} did not follow training: the optimizer applies "
                "no Keras constraints. Use an optimizer of Keras, or assign "
                "variable.constraint(variable) after each update.",
                stacklevel=3,
            )

    def _codewords(self, training: bool | tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        if not tf.is_tensor(training) and not training:
            self._warn_without_update()
        return super()._codewords(training)

    @property
    def is_restricted(self) -> bool:
        """Whether evaluation uses codewords of the selection only."""
        self._warn_without_update()
        return super().is_restricted

    def get_config(self) -> dict[str, Any]:
        self._warn_without_update()
        return super().get_config()
