"""Gumbel noise and Sinkhorn normalisation."""

import numpy as np
import pytest

from keras_sparsebnn._keras import tf
from keras_sparsebnn.selection.matching import gumbel_noise, hungarian, sinkhorn


def numpy_sinkhorn(logits, iterations, slack_mass=None):
    """In probability space and float64: what the log-space code must equal."""
    plan = np.exp(logits.astype(np.float64))
    mass = np.ones(plan.shape[1])
    if slack_mass:
        plan = np.hstack([plan, np.ones((len(plan), 1))])
        mass = np.append(mass, slack_mass)
    for _ in range(iterations):
        plan /= plan.sum(1, keepdims=True)
        plan *= mass / plan.sum(0)
    return plan[:, : logits.shape[1]]


@pytest.mark.parametrize("iterations", [1, 2, 10])
@pytest.mark.parametrize("shape", [(6, 6), (16, 5), (512, 32)])
def test_equals_alternating_normalisation(rng, iterations, shape):
    logits = rng.normal(size=shape).astype(np.float32)
    partial = shape[0] != shape[1]
    ours = sinkhorn(tf.constant(logits), iterations, partial=partial).numpy()
    slack = shape[0] - shape[1] if partial else None
    # Each step is a handful of float32 roundings on entries of at most 1.
    np.testing.assert_allclose(ours, numpy_sinkhorn(logits, iterations, slack), rtol=2e-5)


def test_columns_carry_mass_one_also_where_exp_overflows(rng):
    logits = rng.normal(size=(512, 16)).astype(np.float32) * 100
    plan = sinkhorn(tf.constant(logits / 0.01), 10, partial=True).numpy()
    assert np.isfinite(plan).all()
    np.testing.assert_allclose(plan.sum(0), 1, rtol=1e-3)


def test_partial_with_all_columns_is_full(rng):
    logits = tf.constant(rng.normal(size=(16, 16)).astype(np.float32))
    full = sinkhorn(logits, 5).numpy()
    assert np.array_equal(sinkhorn(logits, 5, partial=True).numpy(), full)


def test_noise_is_a_function_of_seed_and_step():
    noise = gumbel_noise((64, 8), seed=3, step=5).numpy()
    assert np.array_equal(noise, gumbel_noise((64, 8), seed=3, step=5).numpy())
    assert not np.array_equal(noise, gumbel_noise((64, 8), seed=3, step=6).numpy())
    assert not np.array_equal(noise, gumbel_noise((64, 8), seed=4, step=5).numpy())


def test_noise_is_gumbel():
    noise = gumbel_noise((200_000,), seed=0, step=0).numpy()
    assert np.isfinite(noise).all()
    # Mean: Euler's constant; variance: pi^2 / 6. Standard errors 0.003 and 0.007.
    assert abs(noise.mean() - 0.5772) < 0.015
    assert abs(noise.var() - np.pi**2 / 6) < 0.04


def test_hungarian_is_optimal_by_brute_force(rng):
    import itertools

    scores = rng.normal(size=(6, 3))
    best = max(
        itertools.permutations(range(6), 3),
        key=lambda ids: sum(scores[i, j] for j, i in enumerate(ids)),
    )
    assert tuple(hungarian(scores)) == best
