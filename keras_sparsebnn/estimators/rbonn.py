r"""RBONN: bilinear scales of binary weights, and recurrent backtracking of neglected channels.

With latents `w`, a learned scale `s_o` per output channel, `what = m sign(w) |s|`, m = 0.02,
and `g = g(what)`, the bilinear gradient (lambda = 1e-4) is

    g(w)   = g |s| + lambda (w - what)
    g(|s|) = sum g w - lambda sum (w - what) m sign(w)

that of the task as if `what` were `|s| w`, and that of `lambda / 2 ||w - what||^2`.

Before that, in training only, backtracking changes the weights of channels whose scale has
become small:

    w <- w + u_o previous_o            of the weights, as published
    w <- w - u_o g(previous_o)         of the gradient, as coded
    both where rank(|s|) < (1 - density) Cout, with rank 0 for the smallest of all Cout

`previous` are the weights of the step before, `g(previous)` the gradient that they got; `u`
is learned.

Reference: Xu et al., "Recurrent Bilinear Optimization for Binary Neural Networks", ECCV 2022,
arXiv:2209.01542, and its public code, from which the gradient and the constants are; the
published backtracking is quoted at second hand. Deviates: see `quantizers.RBONN`.
"""

from __future__ import annotations

from collections.abc import Callable

from keras_sparsebnn._keras import tf

__all__ = ["bilinear_ste", "neglected", "noting_identity"]


def bilinear_ste(
    kernel: tf.Tensor, binary: tf.Tensor, scale: tf.Tensor, *, magnitude: float, bilinear: float
) -> tf.Tensor:
    """`magnitude binary |s|`, with the bilinear gradient.

    Args:
        kernel: latents `w`.
        binary: their signs, or the codewords next to them; not differentiated.
        scale: `|s|`.
        magnitude: m.
        bilinear: lambda.

    Shape:
        `[k, k, Cin, Cout]`, the same, `[Cout]` -> `[k, k, Cin, Cout]`.
    """

    @tf.custom_gradient
    def scaled(
        kernel: tf.Tensor, scale: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        signs = tf.stop_gradient(binary)
        output = magnitude * signs * scale

        def grad(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            apart = bilinear * (kernel - output)
            to_scale = upstream * kernel - apart * magnitude * signs
            return upstream * scale + apart, tf.reduce_sum(to_scale, axis=[0, 1, 2])

        return output, grad

    return scaled(kernel, scale)


def neglected(scale: tf.Tensor, density: float) -> tf.Tensor:
    """1 for the channels of the smallest scales, all but the share `density`; else 0.

    Shape:
        `[Cout]` -> `[Cout]`.

    Example:
        >>> neglected(tf.constant([0.3, 0.1, 0.2, 0.9, 0.5]), 0.6).numpy().tolist()
        [0.0, 1.0, 1.0, 0.0, 0.0]
    """
    rank = tf.argsort(tf.argsort(scale, stable=True), stable=True)
    bound = (1 - density) * scale.shape[0]
    return tf.cast(tf.cast(rank, tf.float32) < bound, tf.float32)


def noting_identity(
    kernel: tf.Tensor, note: Callable[[tf.Tensor, tf.Tensor], None]
) -> tf.Tensor:
    """`kernel`; when its gradient is computed, `note` gets both.

    Shape:
        any -> the same.
    """

    @tf.custom_gradient
    def identity(kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        def grad(upstream: tf.Tensor) -> tf.Tensor:
            note(kernel, upstream)
            return upstream

        return tf.identity(kernel), grad

    return identity(kernel)
