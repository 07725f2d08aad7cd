r"""The clipped straight-through gradient.

    y = x,    g(x) = g(y) 1[|x| <= clip_value]

In front of a quantiser whose own gradient is the identity, it shapes what reaches the latents.

Reference: Courbariaux et al., "Binarized Neural Networks", 2016, arXiv:1602.02830, section 1.3.
"""

from __future__ import annotations

from typing import Any

from keras_sparsebnn._keras import tf

__all__ = ["clipped_identity"]


def clipped_identity(x: Any, clip_value: float | None = 1.0) -> Any:
    """`x`, whose gradient passes where `|x| <= clip_value`; everywhere if None.

    Shape:
        any -> the same.
    """
    if clip_value is None:
        return x

    @tf.custom_gradient
    def identity(x: Any) -> Any:
        def grad(upstream: Any) -> Any:
            return tf.where(tf.abs(x) <= clip_value, upstream, tf.zeros_like(upstream))

        return tf.identity(x), grad

    return identity(x)
