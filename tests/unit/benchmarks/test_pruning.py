"""Pruning codewords step by step, on a few images."""

import numpy as np
import pytest

from benchmarks.accuracy import compress, pruning
from keras_sparsebnn import codebook
from keras_sparsebnn.data import load

WAYS = ("random", "facility_location", "pruned")


def test_drops_the_codeword_whose_kernels_lose_least():
    """Against every subset that one codeword less leaves."""
    rng = np.random.default_rng(3)
    table = codebook.codewords(3)
    for _ in range(20):
        kernels = rng.standard_normal((40, 9)).astype(np.float32)
        ids = np.sort(rng.choice(512, 6, replace=False))

        def kept(left, kernels=kernels):
            return (kernels @ table[left].T).max(1).sum(dtype=np.float64)

        best = max((np.delete(ids, j) for j in range(6)), key=kept)
        found = pruning.least_missed(kernels, ids, 5)
        assert kept(found) == pytest.approx(kept(best), rel=1e-6)


def test_keeps_what_is_asked_for():
    kernels = np.random.default_rng(0).standard_normal((200, 9)).astype(np.float32)
    found = pruning.least_missed(kernels, np.arange(512), 16)
    assert len(np.unique(found)) == 16
    assert pruning.least_missed(kernels, found, 16).tolist() == found.tolist()


def test_kernels_become_the_nearest_codewords_that_are_left():
    rng = np.random.default_rng(1)
    quantizer = pruning.Pruned(16)
    latent = rng.uniform(-1, 1, (3, 3, 4, 8)).astype(np.float32)
    flat, table = latent.reshape(9, -1).T, codebook.codewords(3)
    np.testing.assert_array_equal(quantizer(latent), np.sign(latent))
    for kept in (100, 16):
        quantizer.prune(latent, kept)
        left = table[np.unique(quantizer.selection.numpy())]
        assert len(left) == kept
        nearest = left[(flat @ left.T).argmax(1)]
        np.testing.assert_array_equal(quantizer(latent), nearest.T.reshape(latent.shape))


def test_the_way_from_512_to_n():
    way = pruning.Pruning(16, total_steps=1000)
    assert [way.kept(step) for step in (0, 100, 300, 500, 999)] == [512, 512, 91, 16, 16]


def test_every_way_ends_with_n_codewords(monkeypatch):
    for module in (compress, pruning):
        monkeypatch.setattr(module, "WIDTHS", (16, 32))
        monkeypatch.setattr(module, "SIZES", (16,))
    monkeypatch.setattr(pruning, "EPOCHS", 1)
    monkeypatch.setattr(pruning, "EVERY", 2)
    runs = pruning.runs_of(load("digits"), seed=0)
    assert [run["way"] for run in runs] == list(WAYS)
    assert all(run["by_layer"] == [16, 16] for run in runs)
