r"""ReActNet's generalised activations.

Reference: Liu et al., "ReActNet: Towards Precise Binary Neural Network with Generalized
Activation Functions", ECCV 2020, arXiv:2003.03488, section 4.2. Slopes start at 0.25 and
shifts at 0, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.activations.per_channel import PerChannel, channel_sums

__all__ = ["LearnableShift", "RPReLU"]


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class LearnableShift(PerChannel):
    r"""Adds a learned constant to each channel: the learned threshold of RSign.

    Forward:   `y_c = x_c + shift_c`.
    Backward:  `g(x) = g(y)`, `g(shift_c) = sum g(y_c)`.

    RSign is this layer and then the sign that a binary convolution has at its input. They are
    two because only a sign *in* the convolution (`input_quantizer`) folds into LCE's: the
    shift stays one float addition before `LceQuantize`.

    Shape:
        `[..., C]` -> the same.

    Example:
        >>> LearnableShift()(tf.ones([1, 2])).numpy().tolist()
        [[1.0, 1.0]]

    Reference: ReActNet (see the module), equation 2. Deviates: `shift = -alpha`, as in the
    authors' code.
    """

    parameters = (("shift", 0.0),)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        @tf.custom_gradient
        def shifted(x: tf.Tensor, shift: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
            return x + shift, lambda g: (g, channel_sums(g))

        return shifted(inputs, tf.convert_to_tensor(self.shift))


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class RPReLU(PerChannel):
    r"""PReLU whose bend may lie anywhere, per channel.

    Forward:   `y = x - gamma + zeta` where `x > gamma`, else `beta (x - gamma) + zeta`.
    Backward:  `g(x) = g(y) s`, `g(gamma) = -sum g(y) s` with the slope `s = 1` where
               `x > gamma`, else `beta`; `g(beta) = sum g(y) min(x - gamma, 0)`;
               `g(zeta) = sum g(y)`.

    Never fuses into LCE's convolution: it is TFLite's PRELU between two additions.

    Shape:
        `[..., C]` -> the same; gamma, beta, zeta are `[C]`.

    Example:
        >>> RPReLU()(tf.constant([[-4.0, 3.0]])).numpy().tolist()
        [[-1.0, 3.0]]

    Reference: ReActNet (see the module), equation 3. Deviates: nothing.
    """

    parameters = (("gamma", 0.0), ("beta", 0.25), ("zeta", 0.0))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        @tf.custom_gradient
        def bent(
            inputs: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, zeta: tf.Tensor
        ) -> tuple[tf.Tensor, Callable[..., Any]]:
            x = inputs - gamma
            below = tf.nn.relu(-x)
            # Keras's own form of PReLU, slopes of rank 3 included: TFLite's converter knows it.
            slopes = tf.reshape(beta, [1] * (inputs.shape.rank - 2) + [-1])
            y = tf.nn.relu(x) + -slopes * below + zeta

            def gradients(g: tf.Tensor) -> tuple[tf.Tensor, ...]:
                above = tf.raw_ops.ReluGrad(gradients=g, features=x)
                g_x = above + beta * (g - above)
                return g_x, -channel_sums(g_x), -channel_sums(g * below), channel_sums(g)

            return y, gradients

        parameters = (tf.convert_to_tensor(p) for p in (self.gamma, self.beta, self.zeta))
        return bent(inputs, *parameters)
