r"""Bi-Real Net's piecewise quadratic approximation of sign, for latent weights.

    y = x,    g(x) = g(y) (2 - 2|x|) 1[|x| <= 1]

Reference: Liu et al., "Bi-Real Net: Enhancing the Performance of 1-bit CNNs With Improved
Representational Capability and Advanced Training Algorithm", ECCV 2018, arXiv:1808.00278,
section 3.3. Deviates: there it is for activations only; larq's `approx_sign` is for both.
"""

from __future__ import annotations

from typing import Any

from keras_sparsebnn._keras import tf

__all__ = ["approx_identity"]


@tf.custom_gradient
def approx_identity(x: Any) -> Any:
    """`x`, with the gradient of the approximated sign.

    Shape:
        any -> the same.
    """

    def grad(upstream: Any) -> Any:
        distance = tf.abs(x)
        inside = distance <= 1.0
        return tf.where(inside, (1 - distance) * 2 * upstream, tf.zeros_like(upstream))

    return tf.identity(x), grad
