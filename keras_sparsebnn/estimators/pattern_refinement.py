r"""The refinement of Sub-bit Neural Networks (SNN): codewords as the signs of latents.

Every codeword `u_j` has a latent pattern `p_j`. Forward, with memory `m`:

    u_j  = m_j                                  (the kernels see codewords only)

Backward, in every 25th step only:

    g(p_j) = sum_{c : what_c = u_j} g(what_c)

After an optimizer update of `p`, element-wise:

    p <- clip(p, -3, 3)
    m <- sign(p) where |p| >= 1e-3, else as before    (hysteresis)

and every `m_j` that equals an earlier one becomes a random codeword that no slot has, `p_j`
with it.

Reference: Wang et al., "Sub-bit Neural Networks: Learning To Compress and Accelerate Binary
Neural Networks", ICCV 2021, arXiv:2110.09195, and its public code. Deviates: see
`quantizers.SNN`.
"""

from __future__ import annotations

from collections.abc import Callable

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import tf
from keras_sparsebnn.estimators.permutation_ste import ids_of

__all__ = ["refined_patterns", "refinement_ste"]


def refinement_ste(patterns: tf.Tensor, u: tf.Tensor, due: tf.Tensor) -> tf.Tensor:
    """`u`, with `due`'s share of its gradient handed to the latent patterns.

    Args:
        patterns: `p`; only its gradient is used.
        u: the codewords, columns.
        due: 1 in steps that refine, else 0.

    Shape:
        `[n, k*k]`, `[k*k, n]`, `[]` -> `[k*k, n]`.
    """

    @tf.custom_gradient
    def codewords_of(patterns: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        return tf.identity(u), lambda upstream: due * tf.transpose(upstream)

    return codewords_of(patterns)


def refined_patterns(
    patterns: tf.Tensor,
    ids: tf.Tensor,
    key: tf.Tensor,
    *,
    hysteresis: float = 1e-3,
    bound: float = 3.0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(p, ids)` after an update of `p`: clipped, with distinct codewords.

    Args:
        patterns: the latent patterns as the optimizer left them.
        ids: the codewords until now, distinct: the memory `m`.
        key: two integers; the replacements of duplicates are a function of it.
        hysteresis: latents smaller than this leave their sign as it was.
        bound: latents are clipped to +- this.

    Shape:
        `[n, k*k]`, `[n]`, `[2]` -> `[n, k*k]`, `[n]`, distinct ids.
    """
    slots, taps = patterns.shape
    size = 2**taps
    table = tf.constant(codebook.codewords(round(taps**0.5)))
    patterns = tf.clip_by_value(patterns, -bound, bound)
    sure = tf.abs(patterns) >= hysteresis
    negative = tf.where(sure, patterns < 0, tf.gather(table, ids) < 0)
    ids = ids_of(tf.transpose(negative))

    equal = ids[:, tf.newaxis] == ids[tf.newaxis, :]
    earlier = tf.range(slots)[:, tf.newaxis] > tf.range(slots)[tf.newaxis, :]
    duplicate = tf.reduce_any(tf.logical_and(equal, earlier), axis=1)
    used = tf.reduce_any(ids[:, tf.newaxis] == tf.range(size, dtype=tf.int64), axis=0)
    # Free codewords first, in random order; the j-th duplicate takes the j-th.
    order = tf.random.stateless_uniform([size], seed=key, alg="philox")
    spare = tf.argsort(order + 2 * tf.cast(used, tf.float32))
    turn = tf.maximum(tf.cumsum(tf.cast(duplicate, tf.int32)) - 1, 0)
    ids = tf.where(duplicate, tf.cast(tf.gather(spare, turn), tf.int64), ids)
    fresh = tf.gather(table, ids)
    return tf.where(duplicate[:, tf.newaxis], fresh, patterns), ids
