"""Pixels as bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn._rules import check, integer

__all__ = ["Thermometer"]


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class Thermometer(keras.layers.Layer):  # type: ignore[misc]
    r"""Differences of each pixel to levels between -1 and 1, whose signs are its bits.

    Forward:   `y_(k C + c) = x_c - t_k` with `t_k = 2 (k + 1/2) / L - 1`, k = 0 ... L - 1.
    Backward:  `g(x_c) = sum_k g(y_(k C + c))`.

    Nothing is trained, so the first binary layer's inputs are bits of the image alone.

    Args:
        levels: L, bits for each channel of a pixel.

    Shape:
        `[B, H, W, C]` -> `[B, H, W, L C]`.

    Raises:
        ValueError: for fewer than one level.

    Example:
        >>> Thermometer(2)(tf.zeros([1, 1, 1, 1])).numpy().ravel().tolist()
        [0.5, -0.5]
    """

    def __init__(self, levels: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        check("levels", levels, integer(1, 65_536))
        self.levels = levels

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        levels = 2 * (np.arange(self.levels) + 0.5) / self.levels - 1
        if inputs.shape[-1] == 1:
            return inputs - tf.constant(levels, inputs.dtype)
        return tf.concat([inputs - tf.constant(t, inputs.dtype) for t in levels], axis=-1)

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        shape = tf.TensorShape(input_shape)
        return tf.TensorShape([*shape[:-1], shape[-1] * self.levels])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "levels": self.levels}
