r"""Bi-Real Net's piecewise quadratic approximation of sign, for latent weights.

    y = x,    g(x) = g(y) (2 - 2|x|) 1[|x| <= 1]

Reference: Liu et al., "Bi-Real Net: Enhancing the Performance of 1-bit CNNs With Improved
Representational Capability and Advanced Training Algorithm", ECCV 2018, arXiv:1808.00278,
section 3.3. Deviates: there it is for activations only; larq's `approx_sign` is for both.
"""

from __future__ import annotations

from collections.abc import Callable

from keras_sparsebnn._keras import tf

__all__ = ["approx_identity"]


def approx_identity(x: tf.Tensor) -> tf.Tensor:
    """`x`, with the gradient of the approximated sign.

    Shape:
        any -> the same.
    """

    @tf.custom_gradient
    def identity(x: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        def grad(upstream: tf.Tensor) -> tf.Tensor:
            distance = tf.abs(x)
            inside = distance <= 1.0
            return tf.where(inside, (1 - distance) * 2 * upstream, tf.zeros_like(upstream))

        return tf.identity(x), grad

    return identity(x)
