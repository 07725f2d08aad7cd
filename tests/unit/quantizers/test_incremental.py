"""Kernels that become codewords one after the other."""

import numpy as np
import pytest

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import Incremental
from keras_sparsebnn.training import RunConfig, incremental
from keras_sparsebnn.training.run.schedules import selection_schedules
from keras_sparsebnn.transforms.freezing import freeze

SHAPE = (3, 3, 8, 16)


@pytest.fixture
def chosen(rng):
    w = rng.normal(size=SHAPE).astype(np.float32)
    q = Incremental(8, seed=0)
    q.build(SHAPE)
    q.enter("codewords", w)
    return q, w


def called(q, w, upstream):
    latent = tf.constant(w)
    with tf.GradientTape() as tape:
        tape.watch(latent)
        out = q(latent)
    return out.numpy(), tape.gradient(out, latent, upstream).numpy()


class TestForward:
    @pytest.mark.parametrize("tolerance", [0.0, 0.2, 0.4, 3.0])
    def test_against_numpy(self, rng, chosen, tolerance):
        q, w = chosen
        q.tolerance.assign(tolerance)
        upstream = rng.normal(size=SHAPE).astype(np.float32)
        out, gradient = called(q, w, upstream)
        flat = w.reshape(9, -1).T
        u = codebook.decode(codebook.nearest(flat, q.selection.numpy()))
        distance = 1 - (u * flat).sum(axis=1) / np.abs(flat).sum(axis=1)
        expected = np.where((distance <= tolerance)[:, None], u, np.where(flat < 0, -1, 1))
        np.testing.assert_array_equal(out.reshape(9, -1).T, expected)
        np.testing.assert_array_equal(gradient, upstream * (np.abs(w) <= 1))
        assert q.is_restricted == (tolerance == 3)

    def test_choosing_changes_no_kernel_and_tolerance_ever_more(self, rng, chosen):
        q, w = chosen
        shares = []
        for tolerance in (0.0, 0.1, 0.2, 0.3, 0.5, 3.0):
            q.tolerance.assign(tolerance)
            ids = codebook.encode(called(q, w, w)[0].reshape(9, -1).T)
            shares.append(np.isin(ids, q.selection.numpy()).mean())
        signs = codebook.encode(w.reshape(9, -1).T)
        assert shares[0] == np.isin(signs, q.selection.numpy()).mean() < 0.2
        assert shares == sorted(shares)
        assert len(set(shares)) > 4
        assert shares[-1] == 1

    def test_a_kernel_of_zeros(self):
        q = Incremental(8, seed=0)
        q.build(SHAPE)
        w = np.zeros(SHAPE, np.float32)
        q.enter("codewords", w)
        assert set(np.unique(called(q, w, w)[0])) <= {-1.0, 1.0}


class TestSchedule:
    def test_runs_settle_in_time(self):
        config = RunConfig(method="incremental", options={"settle_after": 0.25})
        tolerance = next(
            s
            for s in selection_schedules(config, 100)
            if "tolerance" in getattr(s, "schedules", ())
        )
        values = [tolerance.value("tolerance", step) for step in (0, 20, 30, 39, 40, 99)]
        np.testing.assert_allclose(values, [0, 0, 0.5, 0.95, 3, 3], atol=1e-9)

    def test_errors(self):
        with pytest.raises(SparseBNNError, match=r"`since` in \[0, 0.5\), got 0.5"):
            incremental(0.5, 0.5)
        with pytest.raises(SparseBNNError, match=r"`until` in \(0, 1\], got 1.5"):
            incremental(0.5, 1.5)


def test_frozen_only_when_settled(rng):
    conv = lq.layers.QuantConv2D(
        16, 3, kernel_quantizer=Incremental(8), kernel_constraint="weight_clip"
    )
    model = keras.Sequential([keras.layers.Input((3, 3, 8)), conv])
    conv.kernel_quantizer.enter("codewords", conv.kernel)
    message = r"all kernels to be codewords.*call kernel_quantizer.tolerance.assign\(3\)"
    with pytest.raises(SparseBNNError, match=message):
        freeze(model)
    conv.kernel_quantizer.tolerance.assign(3.0)
    x = rng.normal(size=(2, 3, 3, 8)).astype(np.float32)
    np.testing.assert_allclose(freeze(model)(x), model(x), rtol=1e-5, atol=1e-5)
