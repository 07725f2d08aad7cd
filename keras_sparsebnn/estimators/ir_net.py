r"""IR-Net: balanced, standardised weights and the error decay estimator (EDE).

Forward (Libra parameter binarisation), per output channel o over its k k Cin weights:

    w_std = (W_o - mean(W_o)) / std(W_o)

Backward, through what binarises `w_std`, with t growing over training:

    g(x) = g(y) k t (1 - tanh^2(t x)),    k = max(1 / t, 1)

and through mean and standard deviation by ordinary differentiation. At small t this is the
identity nearly everywhere, so every weight can be updated; at large t it approaches the
derivative of sign.

Reference: Qin et al., "Forward and Backward Information Retention for Accurate Binary Neural
Networks", CVPR 2020, arXiv:1909.10788, and its public code (whose standard deviation divides
by count - 1, as here). Deviates: there is no power-of-two scale per channel, because batch norm
follows anyway (`magnitude_scale` is there); t goes from 0.1 to 10 as in the paper (from memory
of it), where the code of ResNet-20 starts at 0.001.
"""

from __future__ import annotations

from collections.abc import Callable

from keras_sparsebnn._keras import tf

__all__ = ["T_MAX", "T_MIN", "ede_identity", "standardized"]

T_MIN, T_MAX = 0.1, 10.0

_TINY = 1e-12  # a channel of equal weights has no deviation


def standardized(kernel: tf.Tensor) -> tf.Tensor:
    """Zero mean and unit variance per output channel.

    Shape:
        `[k, k, Cin, Cout]` -> the same.
    """
    count = kernel.shape[:-1].num_elements()
    centred = kernel - tf.reduce_mean(kernel, axis=[0, 1, 2])
    variance = tf.reduce_sum(tf.square(centred), axis=[0, 1, 2]) / max(count - 1, 1)
    return centred * tf.math.rsqrt(variance + _TINY)


def ede_identity(x: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """`x`, with EDE's gradient.

    Args:
        x: standardised weights.
        t: > 0.

    Shape:
        any, `[]` -> the same.
    """

    @tf.custom_gradient
    def identity(x: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        def grad(upstream: tf.Tensor) -> tf.Tensor:
            slope = tf.maximum(1.0, t) * (1 - tf.square(tf.tanh(t * x)))  # k t = max(1, t)
            return upstream * slope

        return tf.identity(x), grad

    return identity(x)
