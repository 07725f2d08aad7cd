r"""The non-linear modules that FTBNN compares, apart from Keras's own ReLU and PReLU.

Reference: Su et al., "FTBNN: Rethinking Non-linearity for 1-bit CNNs and Going Beyond",
arXiv:2010.09294, section 3. The equations are from memory of the paper: only its abstract
could be checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.activations.per_channel import PerChannel, channel_sums

__all__ = ["HardTanh", "TwoSidedPReLU"]


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class HardTanh(keras.layers.Layer):  # type: ignore[misc]
    r"""Clips to [-1, 1].

    Forward:   `y = max(-1, min(1, x))`.
    Backward:  `g(x) = g(y) 1[|x| <= 1]`.

    Shape:
        Any -> the same.

    Example:
        >>> HardTanh()(tf.constant([-3.0, 0.5])).numpy().tolist()
        [-1.0, 0.5]

    Reference: see the module. Deviates: nothing.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(inputs, -1.0, 1.0)

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return input_shape


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class TwoSidedPReLU(PerChannel):
    r"""PReLU that learns both slopes, per channel.

    Forward:   `y = right x` where `x > 0`, else `left x`.
    Backward:  `g(x) = g(y) s`, `s` the slope on that side;
               `g(right) = sum g(y) max(x, 0)`, `g(left) = sum g(y) min(x, 0)`.

    Starts as PReLU: `right = 1`, `left = 0.25`.

    Shape:
        `[..., C]` -> the same; right and left are `[C]`.

    Example:
        >>> TwoSidedPReLU()(tf.constant([[-4.0, 3.0]])).numpy().tolist()
        [[-1.0, 3.0]]

    Reference: see the module. Deviates: the first slopes may differ from the paper's.
    """

    parameters = (("right", 1.0), ("left", 0.25))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        @tf.custom_gradient
        def bent(
            x: tf.Tensor, right: tf.Tensor, left: tf.Tensor
        ) -> tuple[tf.Tensor, Callable[..., Any]]:
            above, below = tf.nn.relu(x), tf.nn.relu(-x)

            def gradients(g: tf.Tensor) -> tuple[tf.Tensor, ...]:
                g_above = tf.raw_ops.ReluGrad(gradients=g, features=x)
                g_x = right * g_above + left * (g - g_above)
                return g_x, channel_sums(g * above), -channel_sums(g * below)

            return right * above + -left * below, gradients

        return bent(inputs, tf.convert_to_tensor(self.right), tf.convert_to_tensor(self.left))
