r"""The permutation straight-through estimator with structured logits.

Free logits `X` give every pair of a codeword and a slot a number of its own. Here each slot j
has a position `p_j` among the codewords `b_i`, and

    X_ij = <b_i, p_j>,    P = argmax_P Tr(P^T X),    U = B P V

Backward, with the Sinkhorn steps skipped (`g(X) = g(P_GS) = B^T g(U) V^T`):

    g(p_j) = sum_i g(X_ij) b_i = B B^T g(u_j) = N g(u_j)

since the rows of the codebook are orthogonal and of squared length N. So nothing is lost: every
step that free logits take without Sinkhorn, `X <- X - eta B^T g(U)`, has this form, too. What
differs is the start, `p_j = u_j`: the codewords next in line are those that differ from the
slot's own in one bit, where with free logits they are random ones.

The positions take normalised steps, with a running mean of the squares over a layer's entries:

    r <- 0.99 r + 0.01 mean(g(u)^2)
    p <- p - rate g(u) / sqrt(r / (1 - 0.99^t))

so `sum rate` is how far an entry travels, whatever the scale of the loss. For an exchange with
a codeword that differs in one bit, an entry has to travel 1, from +1 to 0, and half the
`margin` of the codeword in place.

Reference: none; our own form of Wang et al., "Compacting Binary Neural Networks by Sparse
Kernel Selection", CVPR 2023, arXiv:2303.14470, section 3.
"""

from __future__ import annotations

from collections.abc import Callable

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import tf
from keras_sparsebnn.selection.matching import match

__all__ = ["MEMORY", "moved", "position_ste", "rate_at", "select_near"]

MEMORY = 0.99
"""The decay of the running mean of squares: the part that stays in an update."""


def position_ste(positions: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """`U`, with the gradient `g(p_j) = g(u_j)`: N, a constant factor, is left out.

    Args:
        positions: `p`; only its gradient is used, the forward pass is the exact selection.
        ids: the n selected ids, slot by slot.

    Shape:
        `[n, k*k]`, `[n]` -> `[k*k, n]`.
    """
    table = tf.constant(codebook.codewords(round(positions.shape[1] ** 0.5)))

    @tf.custom_gradient
    def select(positions: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        return tf.transpose(tf.gather(table, ids)), tf.transpose

    return select(positions)


def moved(
    positions: tf.Tensor,
    gradient: tf.Tensor,
    square: tf.Tensor,
    count: tf.Tensor,
    rate: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`p - rate g / sqrt(r / (1 - 0.99^t))` and the new `r`.

    A gradient that is not finite, as of a step that loss scaling gives up, counts as zero.

    Args:
        positions: `p`.
        gradient: `g(u)`, slot by slot.
        square: `r`, 0 at first.
        count: t, 1 in the first step.
        rate: how far an entry moves, as the root of the mean square.

    Shape:
        `[n, k*k]`, `[n, k*k]`, `[]`, `[]`, `[]` -> `[n, k*k]`, `[]`.
    """
    finite = tf.reduce_all(tf.math.is_finite(gradient))
    gradient = tf.where(finite, gradient, tf.zeros_like(gradient))
    square = MEMORY * square + (1 - MEMORY) * tf.reduce_mean(tf.square(gradient))
    rms = tf.sqrt(square / (1 - tf.pow(MEMORY, tf.cast(count, tf.float32))))
    return positions - rate * tf.math.divide_no_nan(gradient, rms), square


def rate_at(step: tf.Tensor, start: tf.Tensor, end: tf.Tensor, travel: tf.Tensor) -> tf.Tensor:
    """The rate of update number `step`: it falls in a straight line and adds up to `travel`.

    `rate = 2 travel / (T + 1) (1 - t / T)` for the T = end - start updates t = 0, ..., T - 1
    that follow number `start`; 0 before and after them.

    Shape:
        four scalars, the first three int64 -> `[]`.

    Example:
        >>> [round(float(rate_at(*map(tf.constant, (s, 2, 5)), 8.0)), 2) for s in range(2, 7)]
        [0.0, 4.0, 2.67, 1.33, 0.0]
    """
    updates = tf.cast(tf.maximum(end - start, 1), tf.float32)
    done = tf.cast(step - 1 - start, tf.float32)
    rate = 2 * travel / (updates + 1) * (1 - done / updates)
    return tf.where(tf.logical_and(step > start, step <= end), rate, 0.0)


def select_near(positions: tf.Tensor, ids: tf.Tensor, margin: float) -> tf.Tensor:
    """The distinct codewords that maximise `sum_j X_ij`; those in place lead by `margin`.

    Args:
        positions: `p`.
        ids: the codewords in place.
        margin: added to their logits.

    Shape:
        `[n, k*k]`, `[n]` -> `[n]`.
    """
    table = tf.constant(codebook.codewords(round(positions.shape[1] ** 0.5)))
    logits = tf.matmul(table, positions, transpose_b=True)
    in_place = tf.one_hot(ids, logits.shape[0], on_value=margin, axis=0)
    return match(logits + in_place)
