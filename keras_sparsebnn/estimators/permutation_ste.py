r"""The permutation straight-through estimator (PSTE).

Forward, for latent kernels `w_c`, c = 1..C, the codebook `B` and a selection of n ids:

    U      = B P V                          (the n selected codewords)
    what_c = argmax_{u in U} <u, w_c>       (= argmin ||u - w_c||^2)

Backward, from `g(what)`:

    g(w_c)  = g(what_c) * 1[|w_c| <= 1]
    g(u_j)  = sum_{c : what_c = u_j} g(what_c)
    g(P_GS) = B^T g(U) V^T

and on to the logits by ordinary differentiation through the Sinkhorn steps that made `P_GS`.

Reference: Wang et al., "Compacting Binary Neural Networks by Sparse Kernel Selection",
CVPR 2023, arXiv:2303.14470, section 3.3. Deviates: the mask is `<= 1`, not `< 1`, as in larq's
`ste_sign`; otherwise weights that `weight_clip` holds at exactly +-1 could never come back,
and n = 512 would not equal `ste_sign`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import tf

__all__ = ["nearest_codeword_ste", "permutation_ste", "select_ste"]


def ids_of(negative: tf.Tensor) -> tf.Tensor:
    """`codebook.encode` in TensorFlow: ids of patterns whose -1 are where `negative` is true.

    Shape:
        `[k*k, C]` -> `[C]`.
    """
    places = codebook.place_values(round(negative.shape[0] ** 0.5))
    return tf.reduce_sum(tf.cast(negative, tf.int64) * places[:, np.newaxis], axis=0)


def nearest_slot(kernels: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Which of the selected codewords each kernel uses; ties go to the lowest id.

    Shape:
        `[k*k, C]`, `[n]` -> `[C]`: positions in `ids`.
    """
    kernel_size = round(kernels.shape[0] ** 0.5)
    table = codebook.codewords(kernel_size)
    if ids.shape[0] == len(table):
        # Every pattern is there: sign is exact where a rounded matmul is not.
        return tf.gather(tf.argsort(ids), ids_of(kernels < 0))
    order = tf.argsort(ids)
    u = tf.gather(tf.constant(table), tf.gather(ids, order))
    scores = tf.matmul(kernels, u, transpose_a=True, transpose_b=True)
    return tf.gather(order, tf.argmax(scores, axis=1))


def nearest_codeword_ste(
    kernels: tf.Tensor, u: tf.Tensor, ids: tf.Tensor, clip_value: float | None = 1.0
) -> tf.Tensor:
    r"""Each kernel's nearest codeword, with gradients for the kernels and the codewords.

    Args:
        kernels: latent kernels `w`.
        u: the selected codewords `U`, columns.
        ids: their codebook ids, in the same order.
        clip_value: gradients pass where `|w|` is at most this; everywhere if None.

    Shape:
        `[k*k, C]`, `[k*k, n]`, `[n]` -> `[k*k, C]`.
    """

    @tf.custom_gradient
    def assign(kernels: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        slot = nearest_slot(kernels, ids)

        def grad(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            to_kernels = upstream
            if clip_value is not None:
                inside = tf.abs(kernels) <= clip_value
                to_kernels = tf.where(inside, upstream, tf.zeros_like(upstream))
            to_codewords = tf.matmul(upstream, tf.one_hot(slot, u.shape[1]))
            return to_kernels, to_codewords

        return tf.gather(u, slot, axis=1), grad

    return assign(kernels, u)


def select_ste(p: tf.Tensor, ids: tf.Tensor, kernel_size: int = 3) -> tf.Tensor:
    r"""`U = B P V`: the selected codewords, with the gradient `g(P_GS) = B^T g(U) V^T`.

    Args:
        p: `P_GS`; only its gradient is used, the forward pass is the exact selection.
        ids: the n selected ids, `ids[j]` = the row of the 1 in column j of `P`.
        kernel_size: k.

    Shape:
        `[N, n]` (partial) or `[N, N]` (full), `[n]` -> `[k*k, n]`.
    """
    table = tf.constant(codebook.codewords(kernel_size))  # B^T: [N, k*k]

    @tf.custom_gradient
    def select(p: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        def grad(upstream: tf.Tensor) -> tf.Tensor:
            to_slots = tf.matmul(table, upstream)
            return tf.pad(to_slots, [[0, 0], [0, p.shape[1] - ids.shape[0]]])

        return tf.transpose(tf.gather(table, ids)), grad

    return select(p)


def permutation_ste(
    kernels: tf.Tensor, p: tf.Tensor, ids: tf.Tensor, clip_value: float | None = 1.0
) -> tf.Tensor:
    r"""The PSTE: latent kernels to selected codewords.

    Args:
        kernels: latent kernels `w`.
        p: `P_GS = S^k((X + eps) / tau)`.
        ids: the selection, `Hungarian(P_GS)`.
        clip_value: see `nearest_codeword_ste`.

    Shape:
        `[k*k, C]`, `[N, n]` or `[N, N]`, `[n]` -> `[k*k, C]`, entries -1 and +1.
    """
    kernel_size = round(kernels.shape[0] ** 0.5)
    return nearest_codeword_ste(kernels, select_ste(p, ids, kernel_size), ids, clip_value)
