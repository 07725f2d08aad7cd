"""What quantizers share whose codewords follow variables that the optimizer trains."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.quantizers.subset_kernel import SubsetKernel

__all__ = ["LearnedSubset"]


class LearnedSubset(SubsetKernel):
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
    _gradient_in: int | None = None

    def _add_trained(self, name: str, value: npt.NDArray[np.float32]) -> tf.Variable:
        return self.add_weight(
            name=name,
            shape=value.shape,
            dtype=tf.float32,
            initializer=keras.initializers.Constant(value),
            constraint=self._updated,
            experimental_autocast=False,
        )

    def _after_update(self, value: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Makes the selection that update number `step` leads to; returns the new value."""
        raise NotImplementedError

    def _updated(self, value: tf.Variable) -> tf.Tensor:
        """The trained variable's constraint."""
        step = self.step + 1
        value = self._after_update(tf.convert_to_tensor(value), step)
        self.step.assign(step)
        self._gradient_in = None
        return value

    def _noting_gradients(self, u: tf.Tensor) -> tf.Tensor:
        """`u`; records that its gradient was requested, after which an update is due."""

        @tf.custom_gradient
        def identity(u: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
            def grad(upstream: tf.Tensor) -> tf.Tensor:
                self._gradient_in = _graph()
                return upstream

            return tf.identity(u), grad

        return identity(u)

    def _warn_without_update(self) -> None:
        if self._gradient_in is not None:
            self._gradient_in = None
            warnings.warn(
                f"The codewords of {self.name} did not follow training: the optimizer applies "
                "no Keras constraints. Use an optimizer of Keras, or assign "
                "variable.constraint(variable) after each update.",
                stacklevel=3,
            )

    def _codewords(self, training: bool | tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        # A step that is being traced may evaluate between gradient and update.
        if not tf.is_tensor(training) and not training and self._gradient_in != _graph():
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


def _graph() -> int:
    """Which graph is being traced; 0 if none is."""
    return 0 if tf.executing_eagerly() else id(tf.compat.v1.get_default_graph())
