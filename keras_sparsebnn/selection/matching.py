r"""Selecting codewords by matching: Gumbel-Sinkhorn and the assignment problem.

Two formulations of the selection `U = B P V` with logits `X`:

* `full` (the paper): `X` is `[N, N]`, `P` a permutation, and `V` keeps its first n columns.
* `partial`: only those n columns are modelled. `X` is `[N, n]`; one slack column of constant
  logit 0 carries the remaining mass `N - n`. About `N / (n + 1)` times cheaper.

Reference: Wang et al., CVPR 2023, arXiv:2303.14470, section 3.2; Mena et al., "Learning Latent
Permutations with Gumbel-Sinkhorn Networks", ICLR 2018, arXiv:1802.08665.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import tf

__all__ = ["gumbel_noise", "hungarian", "match", "match_from", "sinkhorn"]


def gumbel_noise(shape: tuple[int, ...], seed: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    r"""`eps = -log(-log u)`, `u ~ Uniform(0, 1)`, a pure function of (seed, step).

    It does not depend on the call: larq runs a quantizer at every read of a kernel, and all
    replicas of a distributed run must see the same noise.
    """
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])
    tiny = np.finfo(np.float32).tiny
    uniform = tf.random.stateless_uniform(shape, seed=key, minval=tiny, alg="philox")
    return -tf.math.log(-tf.math.log(uniform))


def sinkhorn(logits: tf.Tensor, iterations: int = 10, *, partial: bool = False) -> tf.Tensor:
    r"""`S^k(Z)`: `S^0 = exp(Z)`, `S^t = T_col(T_row(S^{t-1}))`, in log space throughout.

    `T_row` scales every row to sum 1. `T_col` scales every column to sum 1; with `partial`,
    the slack column, appended here and dropped again, to sum `N - n`.

    Args:
        logits: `Z`, already divided by the temperature.
        iterations: k, the number of row and column normalisations, at least 1.
        partial: append the slack column.

    Shape:
        `[N, n]` -> `[N, n]`, entries in [0, 1], columns sum to 1.
    """
    rows, columns = logits.shape
    log_mass = tf.zeros([columns])
    if partial and columns < rows:
        logits = tf.pad(logits, [[0, 0], [0, 1]])
        log_mass = tf.constant([0.0] * columns + [math.log(rows - columns)])
    return _normalised(logits, log_mass, iterations)[:, :columns]


def _normalised(logits: tf.Tensor, log_mass: tf.Tensor, iterations: int) -> tf.Tensor:
    """`S^k` with an explicit gradient, both as loops: k steps cost one step's code.

    S^t = exp(Z - row_t - column_t), where only the two potentials change:
    row_t = lse_j(Z - column_{t-1}) and column_t = lse_i(Z - row_t) - log_mass, column_0 = 0.
    """

    def put(buffer: tf.Tensor, t: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        return tf.tensor_scatter_nd_update(buffer, [[t]], [value])

    @tf.custom_gradient
    def normalise(logits: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        shape = logits.shape

        def step(t: tf.Tensor, row: tf.Tensor, column: tf.Tensor) -> tuple[tf.Tensor, ...]:
            new_row = tf.reduce_logsumexp(logits - tf.gather(column, t), axis=1)
            new_column = tf.reduce_logsumexp(logits - new_row[:, tf.newaxis], axis=0)
            return t + 1, put(row, t, new_row), put(column, t + 1, new_column - log_mass)

        start = (
            tf.constant(0),
            tf.zeros([iterations, shape[0]]),
            tf.zeros([iterations + 1, shape[1]]),
        )
        _, row, column = tf.while_loop(
            lambda t, *_: t < iterations, step, start, maximum_iterations=iterations
        )
        plan = tf.exp(logits - row[-1][:, tf.newaxis] - column[-1])

        def grad(upstream: tf.Tensor) -> tf.Tensor:
            def back(
                t: tf.Tensor, to_logits: tf.Tensor, to_row: tf.Tensor, to_column: tf.Tensor
            ) -> tuple[tf.Tensor, ...]:
                this_row = tf.gather(row, t)[:, tf.newaxis]
                # d column_t / dZ = -d column_t / d row_t: the column-wise softmax of Z - row_t.
                share = to_column * tf.exp(
                    logits - this_row - tf.gather(column, t + 1) - log_mass
                )
                to_row -= tf.reduce_sum(share, axis=1)
                to_logits += share
                # Likewise row_t: the row-wise softmax of Z - column_{t-1}.
                share = to_row[:, tf.newaxis] * tf.exp(logits - this_row - tf.gather(column, t))
                to_column = -tf.reduce_sum(share, axis=0)
                return t - 1, to_logits + share, tf.zeros_like(to_row), to_column

            to_log_plan = upstream * plan
            _, to_logits, _, _ = tf.while_loop(
                lambda t, *_: t >= 0,
                back,
                (
                    tf.constant(iterations - 1),
                    to_log_plan,
                    -tf.reduce_sum(to_log_plan, axis=1),
                    -tf.reduce_sum(to_log_plan, axis=0),
                ),
                maximum_iterations=iterations,
            )
            return to_logits

        return plan, grad

    return normalise(logits)


def hungarian(scores: npt.ArrayLike) -> npt.NDArray[np.int64]:
    r"""`argmax_P Tr(P^T scores)` by SciPy: the exact reference for `match`.

    Shape:
        `[N, n]`, `n <= N` -> `[n]`: the row matched to each column, all distinct.
    """
    from scipy.optimize import linear_sum_assignment

    columns, rows = linear_sum_assignment(np.asarray(scores, np.float64).T, maximize=True)
    assert np.array_equal(columns, np.arange(len(columns)))
    return np.asarray(rows, np.int64)


def match(scores: tf.Tensor) -> tf.Tensor:
    r"""`argmax_P Tr(P^T scores)` without leaving the graph.

    Shortest augmenting paths with dual variables (Jonker and Volgenant), every scan over the
    N codewords one vector operation: works in `tf.function`, under XLA and on TPU, where a
    Python callback cannot. Slots whose best codeword nobody else wants are matched at once;
    only the rest search. Exact up to float32 rounding of the sums; scores that are not finite
    count as the lowest.

    Shape:
        `[N, n]`, `n <= N` -> `[n]` int64: the codeword matched to each slot, all distinct.

    Reference: Crouse, "On implementing 2D rectangular assignment algorithms", IEEE TAES 2016.
    """
    return match_from(scores, tf.zeros([scores.shape[0]]))[0]


def match_from(scores: tf.Tensor, prices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    r"""`match`, started from the dual variables of an earlier, similar problem.

    The outcome is optimal whatever the prices; good ones leave few slots to search. Only the
    square problem uses them: in the others, free codewords must have price 0.

    Shape:
        `[N, n]`, `[N]` -> `[n]` int64, `[N]`: the matching and its prices.
    """
    scores = tf.cast(scores, tf.float32)
    codewords, slots = scores.shape
    if slots > codewords:
        raise ValueError(
            f"Expected at most {codewords} slots for {codewords} rows, got {slots}."
        )
    finite = tf.math.is_finite(scores)
    lowest = tf.reduce_min(tf.where(finite, scores, 0.0)) - 1.0
    scores = tf.where(finite, scores, lowest)
    cost = tf.transpose(tf.reduce_max(scores) - scores)  # [slots, codewords], >= 0
    infinity = tf.constant(np.inf, tf.float32)

    # u_slot + v_codeword <= cost, with equality on matched pairs; v = 0 on free codewords.
    v = prices if slots == codewords else tf.zeros([codewords])
    reduced = cost - v
    u = tf.reduce_min(reduced, axis=1)
    favourite = tf.argmin(reduced, axis=1, output_type=tf.int32)
    slot_range = tf.range(slots)
    owner = tf.math.unsorted_segment_min(slot_range, favourite, codewords)
    slot_of = tf.where(owner < slots, owner, -1)
    codeword_of = tf.where(tf.gather(slot_of, favourite) == slot_range, favourite, -1)

    def set_at(vector: tf.Tensor, index: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        return tf.tensor_scatter_nd_update(vector, [[index]], [value])

    def unmatched(
        u: tf.Tensor, v: tf.Tensor, codeword_of: tf.Tensor, slot_of: tf.Tensor
    ) -> tf.Tensor:
        return tf.reduce_any(codeword_of < 0)

    def augment(
        u: tf.Tensor, v: tf.Tensor, codeword_of: tf.Tensor, slot_of: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        start = tf.argmin(codeword_of, output_type=tf.int32)

        def searching(
            slot: tf.Tensor,
            sink: tf.Tensor,
            reached: tf.Tensor,
            distance: tf.Tensor,
            parent: tf.Tensor,
            done: tf.Tensor,
        ) -> tf.Tensor:
            return sink < 0

        def scan(
            slot: tf.Tensor,
            sink: tf.Tensor,
            reached: tf.Tensor,
            distance: tf.Tensor,
            parent: tf.Tensor,
            done: tf.Tensor,
        ) -> tuple[tf.Tensor, ...]:
            reduced = reached + tf.gather(cost, slot) - tf.gather(u, slot) - v
            shorter = tf.logical_and(tf.logical_not(done), reduced < distance)
            parent = tf.where(shorter, slot, parent)
            distance = tf.where(shorter, reduced, distance)
            open_distance = tf.where(done, infinity, distance)
            nearest = tf.argmin(open_distance, output_type=tf.int32)
            done = tf.logical_or(done, tf.range(codewords) == nearest)
            holder = tf.gather(slot_of, nearest)
            return (
                tf.where(holder < 0, slot, holder),
                tf.where(holder < 0, nearest, -1),
                tf.gather(open_distance, nearest),
                distance,
                parent,
                done,
            )

        _, sink, reached, distance, parent, done = tf.while_loop(
            searching,
            scan,
            (
                start,
                tf.constant(-1),
                tf.constant(0.0),
                tf.fill([codewords], infinity),
                tf.fill([codewords], -1),
                tf.zeros([codewords], tf.bool),
            ),
        )
        slack = tf.where(done, reached - distance, 0.0)
        v -= slack
        # A slot met on the way is the one that held a reached codeword.
        u += tf.where(codeword_of >= 0, tf.gather(slack, tf.maximum(codeword_of, 0)), 0.0)
        u = set_at(u, start, tf.gather(u, start) + reached)

        def flipping(
            codeword: tf.Tensor, codeword_of: tf.Tensor, slot_of: tf.Tensor
        ) -> tf.Tensor:
            return codeword >= 0

        def flip(
            codeword: tf.Tensor, codeword_of: tf.Tensor, slot_of: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            slot = tf.gather(parent, codeword)
            released = tf.gather(codeword_of, slot)
            return (
                tf.where(slot == start, -1, released),
                set_at(codeword_of, slot, codeword),
                set_at(slot_of, codeword, slot),
            )

        _, codeword_of, slot_of = tf.while_loop(flipping, flip, (sink, codeword_of, slot_of))
        return u, v, codeword_of, slot_of

    _, v, codeword_of, _ = tf.while_loop(unmatched, augment, (u, v, codeword_of, slot_of))
    return tf.cast(codeword_of, tf.int64), v
