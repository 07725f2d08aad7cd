"""The structured form of the estimator against NumPy and SciPy."""

import numpy as np
import pytest

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import tf
from keras_sparsebnn.estimators import nearest_codeword_ste
from keras_sparsebnn.estimators.structured_logits import (
    moved,
    position_ste,
    rate_at,
    select_near,
)
from keras_sparsebnn.selection.matching import hungarian

TABLE = codebook.codewords(3).astype(np.float64)


def test_gradient_against_numpy(rng):
    ids = rng.choice(512, 16, replace=False)
    kernels = rng.normal(size=(9, 200)).astype(np.float32)
    upstream = rng.normal(size=(9, 200)).astype(np.float32)
    positions = tf.Variable(rng.normal(size=(16, 9)), dtype=tf.float32)
    with tf.GradientTape() as tape:
        u = position_ste(positions, tf.constant(ids))
        what = nearest_codeword_ste(tf.constant(kernels), u, tf.constant(ids), None)
        loss = tf.reduce_sum(what * upstream)
    np.testing.assert_array_equal(u, TABLE[ids].T)
    slot = (TABLE[ids] @ kernels).argmax(axis=0)
    expected = np.stack([upstream[:, slot == j].sum(axis=1) for j in range(16)])
    np.testing.assert_allclose(tape.gradient(loss, positions), expected, rtol=1e-4, atol=1e-4)


def test_it_is_that_of_the_logits_without_sinkhorn(rng):
    """`X = B^T p` and `g(X) = B^T g(U)` give `g(p) = N g(U)`; X moves as free logits do."""
    to_codewords = rng.normal(size=(9, 16))
    to_logits = TABLE @ to_codewords
    to_positions = to_logits.T @ TABLE
    np.testing.assert_allclose(to_positions, 512 * to_codewords.T)
    p = rng.normal(size=(16, 9))
    np.testing.assert_allclose(
        TABLE @ (p - 0.1 * to_codewords.T).T, TABLE @ p.T - 0.1 * to_logits
    )


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_steps_are_normalised(rng, size):
    """Against NumPy, over several updates; the scale of the gradients does not matter."""
    p, square = tf.zeros([8, 9]), tf.constant(0.0)
    expected, mean_square = np.zeros((8, 9)), 0.0
    for t in range(1, 6):
        g = rng.normal(size=(8, 9)) * size
        p, square = moved(
            p, tf.constant(g, tf.float32), square, tf.constant(t), tf.constant(0.25)
        )
        mean_square = 0.99 * mean_square + 0.01 * np.mean(g**2)
        expected -= 0.25 * g / np.sqrt(mean_square / (1 - 0.99**t))
    np.testing.assert_allclose(p, expected, rtol=1e-4, atol=1e-5)


def test_no_gradient_no_step():
    p = tf.ones([8, 9])
    for g in (tf.zeros([8, 9]), tf.fill([8, 9], np.nan)):
        there, square = moved(p, g, tf.constant(0.0), tf.constant(1), tf.constant(1.0))
        np.testing.assert_array_equal(there, p)
        assert float(square) == 0


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 7), (5, 1568), (100, 2000)])
def test_rates_add_up_to_the_travel(start, end):
    steps = np.arange(max(0, start - 2), end + 3)
    rates = rate_at(
        tf.constant(steps), tf.constant(start, tf.int64), tf.constant(end, tf.int64), 16.0
    ).numpy()
    assert rates.sum() == pytest.approx(16, rel=1e-4)
    inside = (steps > start) & (steps <= end)
    assert (rates[inside] > 0).all()
    assert (rates[~inside] == 0).all()
    np.testing.assert_allclose(np.diff(rates[inside], 2), 0, atol=1e-5)  # a straight line


def test_selection_is_the_optimal_assignment(rng):
    for _ in range(20):
        ids = rng.choice(512, 32, replace=False)
        p = (TABLE[ids] + rng.normal(size=(32, 9))).astype(np.float32)
        found = select_near(tf.constant(p), tf.constant(ids), 0.1).numpy()
        logits = TABLE @ p.T
        logits[ids, np.arange(32)] += 0.1
        best = hungarian(logits)
        total = logits[found, np.arange(32)].sum()
        assert total == pytest.approx(logits[best, np.arange(32)].sum(), rel=1e-5)
        assert len(set(found)) == 32


def test_the_codeword_in_place_stays_within_the_margin():
    ids = np.array([0, 511])
    p = TABLE[ids].copy()
    p[0, 3] = -0.04  # its neighbour leads by 0.08
    stay = select_near(tf.constant(p, tf.float32), tf.constant(ids), 0.1).numpy()
    np.testing.assert_array_equal(stay, ids)
    p[0, 3] = -0.06
    go = select_near(tf.constant(p, tf.float32), tf.constant(ids), 0.1).numpy()
    assert go[1] == 511
    np.testing.assert_array_equal(np.flatnonzero(TABLE[go[0]] != TABLE[0]), [3])
