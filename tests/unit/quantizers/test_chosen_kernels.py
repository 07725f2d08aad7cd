"""Methods that choose codewords from trained latent kernels."""

import itertools

import numpy as np
import pytest

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import METHODS, ChosenKernel
from keras_sparsebnn.selection.facility_location import greedy_facility_location
from keras_sparsebnn.selection.frequency import most_frequent
from keras_sparsebnn.selection.product_quantization import binarised_centroids

TABLE = codebook.codewords()
CHOOSING = sorted(name for name, cls in METHODS.items() if issubclass(cls, ChosenKernel))


def objective(w, ids):
    return (w @ codebook.codewords(round(w.shape[1] ** 0.5))[ids].T).max(axis=1).sum()


def greedy_by_definition(w, n):
    """Every gain of every step, in float64."""
    scores = w.astype(np.float64) @ codebook.codewords().astype(np.float64).T
    best = np.full(len(w), -np.inf)
    chosen = []
    for _ in range(n):
        total = np.maximum(scores, best[:, None]).sum(axis=0)
        total[chosen] = -np.inf
        chosen.append(int(total.argmax()))
        best = np.maximum(best, scores[:, chosen[-1]])
    return chosen


@pytest.mark.parametrize("method", CHOOSING)
def test_nothing_is_chosen_from_kernels_that_are_not_finite(method):
    quantizer = METHODS[method](16)
    quantizer.build((3, 3, 4, 8))
    before = quantizer.selection.numpy()
    with pytest.raises(SparseBNNError, match=r"Expected finite kernels .*\(quantizer "):
        quantizer.enter("codewords", tf.fill([3, 3, 4, 8], np.nan))
    assert quantizer.stage == "sign"
    np.testing.assert_array_equal(quantizer.selection, before)


class TestFacilityLocation:
    @pytest.mark.parametrize("count", [40, 3000, 20_000])  # more than a chunk, too
    def test_lazy_equals_greedy(self, rng, count):
        w = rng.normal(size=(count, 9)).astype(np.float32)
        assert greedy_facility_location(w, 12, TABLE).tolist() == greedy_by_definition(w, 12)

    def test_close_to_the_optimum(self, rng):
        w = rng.normal(size=(60, 4)).astype(np.float32)
        best = max(objective(w, list(ids)) for ids in itertools.combinations(range(16), 3))
        baseline = -np.abs(w).sum()
        reached = objective(w, greedy_facility_location(w, 3, codebook.codewords(2)))
        assert (reached - baseline) >= (1 - 1 / np.e) * (best - baseline)

    def test_weights_count_kernels(self, rng):
        w = rng.normal(size=(50, 9)).astype(np.float32)
        counts = rng.integers(0, 4, 50)
        repeated = greedy_facility_location(np.repeat(w, counts, axis=0), 8, TABLE)
        assert (
            greedy_facility_location(w, 8, TABLE, weights=counts).tolist() == repeated.tolist()
        )

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_kernels_of_a_training_that_diverged(self, bad):
        w = np.ones((5, 9), np.float32)
        w[2, 3] = bad
        with pytest.raises(SparseBNNError, match=r"Expected finite kernels .* has diverged"):
            greedy_facility_location(w, 4, TABLE)

    @pytest.mark.parametrize("n", [0, 513, 2.0])
    def test_more_codewords_than_there_are(self, n):
        with pytest.raises(SparseBNNError, match=r"`n` to be an integer in \[1, 512\], got"):
            greedy_facility_location(np.ones((5, 9)), n, TABLE)

    def test_all_kernels_equal(self):
        ids = greedy_facility_location(np.ones((5, 9)), 4, TABLE)
        assert ids[0] == 0
        assert len(set(ids.tolist())) == 4


class TestFrequent:
    def test_counts(self, rng):
        w = rng.normal(size=(5000, 9)) + rng.normal(size=9)
        counts = np.bincount(codebook.encode(w), minlength=512)
        chosen = counts[most_frequent(codebook.encode(w), 32, 512)]
        assert sorted(chosen, reverse=True) == chosen.tolist()
        assert chosen.sum() == np.sort(counts)[-32:].sum()

    def test_ties_are_broken_by_the_seed(self):
        ids = np.array([3, 3])
        a, b = (most_frequent(ids, 4, 512, seed=seed).tolist() for seed in (0, 1))
        assert a[0] == b[0] == 3
        assert a != b


class TestProductQuantization:
    def test_well_separated_clusters(self, rng):
        ids = rng.choice(512, 8, replace=False)
        w = np.repeat(codebook.codewords()[ids], 50, axis=0)
        w = w * 0.5 + 0.1 * rng.normal(size=w.shape)
        assert set(binarised_centroids(w, 8, TABLE).tolist()) == set(ids.tolist())

    def test_centroids_that_share_a_sign_pattern(self, rng):
        # Four clusters on one ray: three of them have to give way, by one tap each.
        direction = np.array([3.0, 2, 1.5, 1, 0.9, 0.8, 0.75, 0.6, 0.1])
        w = np.repeat(np.array([[1.0], [2], [4], [8]]) * direction, [10, 20, 5, 40], axis=0)
        ids = binarised_centroids(w, 4, TABLE)
        distance = (codebook.codewords()[ids] < 0).sum(axis=1)
        assert len(set(ids.tolist())) == 4
        assert ids[0] == 0
        assert distance.tolist() == [0, 1, 1, 2]  # 2: taps 8 and 7 cost 0.7, tap 6 more

    def test_fewer_kernels_than_codewords(self, rng):
        ids = binarised_centroids(rng.normal(size=(3, 9)), 16, TABLE)
        assert len(set(ids.tolist())) == 16

    def test_is_reproducible(self, rng):
        w = rng.normal(size=(2000, 9))
        a, b = (
            binarised_centroids(w, 16, TABLE, seed=1),
            binarised_centroids(w, 16, TABLE, seed=1),
        )
        assert a.tolist() == b.tolist() != binarised_centroids(w, 16, TABLE, seed=2).tolist()


@pytest.mark.parametrize("method", CHOOSING)
class TestQuantizers:
    @pytest.mark.parametrize("k", [2, 3])
    def test_chooses_on_entering(self, rng, method, k):
        q = METHODS[method](8, seed=3)
        w = (rng.normal(size=(k, k, 8, 16)) + 0.3).astype(np.float32)
        q.build(w.shape)
        q.enter("codewords", w)
        ids = q.selection.numpy()
        np.testing.assert_array_equal(ids, q.choice(w.reshape(k * k, -1).T))
        assert len(set(ids.tolist())) == 8
        q.enter("codewords", -w)  # it is there already
        np.testing.assert_array_equal(ids, q.selection.numpy())

    def test_better_than_chance(self, rng, method):
        # Kernels with structure: products of two random directions.
        w = rng.normal(size=(4096, 2)) @ rng.normal(size=(2, 9)).astype(np.float32)
        w = w.astype(np.float32)
        q = METHODS[method](16, seed=3)
        q.build((3, 3, 64, 64))
        chance = np.mean([objective(w, rng.choice(512, 16, replace=False)) for _ in range(20)])
        assert objective(w, q.choice(w)) > 1.1 * chance
