"""The in-graph matcher reaches SciPy's objective, whatever it is given."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_sparsebnn._keras import tf
from keras_sparsebnn.selection.matching import hungarian, match, match_from, sinkhorn

COMPILED = {
    "eager": match,
    "graph": tf.function(match),
    "xla": tf.function(match, jit_compile=True),
}


def objective(scores, ids):
    return scores.astype(np.float64)[ids, np.arange(len(ids))].sum()


def assert_optimal(scores, mode):
    ids = COMPILED[mode](tf.constant(scores)).numpy()
    assert len(set(ids.tolist())) == scores.shape[1]
    assert ids.min() >= 0
    assert ids.max() < scores.shape[0]
    # float32 path lengths: each of at most n sums rounds by half an ulp of the largest cost.
    span = float(scores.max() - scores.min())
    tolerance = 2 * scores.shape[1] ** 2 * span * 2.0**-24 + 1e-12
    assert objective(scores, ids) >= objective(scores, hungarian(scores)) - tolerance


@st.composite
def score_matrices(draw):
    rows = draw(st.integers(1, 12))
    columns = draw(st.integers(1, rows))
    # Few distinct values make ties, where matchers go wrong.
    elements = draw(
        st.sampled_from(
            [
                st.integers(0, 2).map(float),
                st.floats(-1e3, 1e3, width=32),
                st.floats(0, 1, width=32),
            ]
        )
    )
    return draw(hnp.arrays(np.float32, (rows, columns), elements=elements))


@settings(max_examples=100, deadline=None)
@given(score_matrices())
def test_small_matrices_with_ties(scores):
    assert_optimal(scores, "eager")


@pytest.mark.parametrize("mode", ["graph", "xla"])
@pytest.mark.parametrize("shape", [(512, 2), (512, 32), (512, 256), (512, 512), (16, 16)])
@pytest.mark.parametrize("temperature", [0.01, 1.0])
def test_sinkhorn_plans(rng, mode, shape, temperature):
    logits = rng.normal(size=shape).astype(np.float32)
    plan = sinkhorn(tf.constant(logits / temperature), 10, partial=True).numpy()
    assert_optimal(plan, mode)


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_raw_scores(rng, mode):
    for _ in range(5):
        assert_optimal(rng.normal(size=(512, 64)).astype(np.float32), mode)


@pytest.mark.parametrize("shape", [(12, 12), (12, 5), (512, 512)])
def test_any_prices_lead_to_the_optimum(rng, shape):
    scores = rng.normal(size=shape).astype(np.float32)
    start = tf.function(match_from, jit_compile=True)
    prices = tf.constant(rng.normal(size=shape[0]).astype(np.float32))
    for _ in range(3):
        ids, prices = start(tf.constant(scores), prices)
        best = objective(scores, hungarian(scores))
        assert len(set(ids.numpy().tolist())) == shape[1]
        # As above; the given prices, of the size of the scores, round too.
        assert objective(scores, ids.numpy()) >= best - 4 * shape[1] ** 2 * 16 * 2.0**-24
        scores += rng.normal(size=shape).astype(np.float32) * 0.01


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_end_in_a_matching(rng, poison):
    scores = rng.normal(size=(9, 6)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.5] = poison
    ids = match(tf.constant(scores)).numpy()
    assert len(set(ids.tolist())) == 6


def test_more_slots_than_codewords_is_an_error():
    with pytest.raises(ValueError, match="Expected at most 3 slots for 3 rows, got 4"):
        match(tf.zeros([3, 4]))
