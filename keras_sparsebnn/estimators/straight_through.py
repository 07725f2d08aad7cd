r"""The clipped straight-through gradient.

    y = x,    g(x) = g(y) 1[|x| <= clip_value]

In front of a quantiser whose own gradient is the identity, it shapes what reaches the latents.

Reference: Courbariaux et al., "Binarized Neural Networks", 2016, arXiv:1602.02830, section 1.3.
"""

from __future__ import annotations

from collections.abc import Callable

from keras_sparsebnn._keras import tf

__all__ = ["clipped_identity"]


def clipped_identity(x: tf.Tensor, clip_value: float | None = 1.0) -> tf.Tensor:
    """`x`, whose gradient passes where `|x| <= clip_value`; everywhere if None.

    Shape:
        any -> the same.
    """
    if clip_value is None:
        return x

    @tf.custom_gradient
    def identity(x: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        def grad(upstream: tf.Tensor) -> tf.Tensor:
            return tf.where(tf.abs(x) <= clip_value, upstream, tf.zeros_like(upstream))

        return tf.identity(x), grad

    return identity(x)
