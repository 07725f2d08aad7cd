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
def test_an_update_counts_by_its_direction(rng, size):
    p = rng.normal(size=(8, 9)).astype(np.float32)
    update = rng.normal(size=(8, 9)).astype(np.float32) * size
    there = moved(tf.zeros_like(p), tf.constant(update), tf.constant(0.25))
    expected = 0.25 * update / np.sqrt(np.mean(update.astype(np.float64) ** 2))
    np.testing.assert_allclose(there, expected, rtol=1e-5)
    here = moved(tf.constant(p), tf.constant(p), tf.constant(0.25))
    np.testing.assert_array_equal(here, p)


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
