"""IR-Net's standardised weights and its error decay estimator."""

import numpy as np
import pytest

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.estimators import ede_identity, standardized
from keras_sparsebnn.quantizers import FacilityLocation, FixedSubset, OneBit
from keras_sparsebnn.training import RunConfig, SelectionSchedule, geometric
from keras_sparsebnn.training.run.schedules import selection_schedules

SHAPE = (3, 3, 5, 4)


def by_definition(w):
    """Channel by channel, in float64."""
    out = np.empty(w.shape)
    for o in range(w.shape[-1]):
        channel = w[..., o].astype(np.float64)
        out[..., o] = (channel - channel.mean()) / channel.std(ddof=1)
    return out


def slope(x, t):
    k = max(1 / t, 1)
    return k * t * (1 - np.tanh(t * x.astype(np.float64)) ** 2)


class TestStandardized:
    def test_forward(self, rng):
        w = (rng.normal(size=SHAPE) * [0.1, 1, 5, 1e-3] + 2).astype(np.float32)
        np.testing.assert_allclose(standardized(tf.constant(w)), by_definition(w), atol=1e-3)

    def test_gradient_is_the_derivative(self, rng):
        w, g = (rng.normal(size=SHAPE) for _ in range(2))
        latent = tf.constant(w, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(latent)
            out = standardized(latent)
        found = tape.gradient(out, latent, tf.constant(g, tf.float32)).numpy()
        for index in [(0, 0, 0, 0), (1, 2, 3, 1), (2, 2, 4, 3)]:
            step = np.zeros(SHAPE)
            step[index] = 1e-6
            numeric = ((by_definition(w + step) - by_definition(w - step)) * g).sum() / 2e-6
            np.testing.assert_allclose(found[index], numeric, rtol=1e-4, atol=1e-5)

    def test_equal_weights_do_no_harm(self):
        latent = tf.ones(SHAPE)
        with tf.GradientTape() as tape:
            tape.watch(latent)
            out = standardized(latent)
        assert not out.numpy().any()
        assert np.isfinite(tape.gradient(out, latent)).all()


@pytest.mark.parametrize("t", [0.1, 1.0, 7.5])
def test_ede_gradient_against_numpy(rng, t):
    x, g = (rng.normal(size=(50,)).astype(np.float32) for _ in range(2))
    latent = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(latent)
        out = ede_identity(latent, tf.constant(t))
    np.testing.assert_array_equal(out, x)
    # 1 - tanh^2 is off by two roundings of 1, times k t <= 7.5 and |g| < 4.
    np.testing.assert_allclose(
        tape.gradient(out, latent, tf.constant(g)), g * slope(x, t), rtol=1e-5, atol=4e-6
    )


class TestQuantizer:
    @pytest.mark.parametrize("cls", [OneBit, FixedSubset])
    def test_forward_and_gradient(self, rng, cls):
        q = cls(standardize=True, gradient="ede", seed=0)
        w = (rng.normal(size=SHAPE) + 0.4).astype(np.float32)
        g = rng.normal(size=SHAPE).astype(np.float32)
        q.build(SHAPE)
        q.ede_t.assign(2.0)
        x = by_definition(w)
        nearest = codebook.nearest(x.reshape(9, -1).T, q.selection.numpy())
        expected = codebook.decode(nearest).T.reshape(SHAPE)
        # Standardising: less the parts of the gradient along 1 and along x.
        to_x = g * slope(x, 2.0)
        count = np.prod(SHAPE[:-1])
        along = (to_x * x).sum(axis=(0, 1, 2)) / (count - 1)
        to_w = (to_x - to_x.mean(axis=(0, 1, 2)) - along * x) / w.std(axis=(0, 1, 2), ddof=1)
        latent = tf.constant(w)
        with tf.GradientTape() as tape:
            tape.watch(latent)
            out = q(latent)
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_allclose(tape.gradient(out, latent, g), to_w, rtol=1e-3, atol=1e-4)

    def test_codewords_are_chosen_for_what_is_binarised(self, rng):
        w = (rng.normal(size=(3, 3, 16, 32)) + 3).astype(np.float32)
        plain, ours = FacilityLocation(8, seed=0), FacilityLocation(8, seed=0, standardize=True)
        for q in (plain, ours):
            q.build(w.shape)
            q.enter("codewords", w)
        x = standardized(tf.constant(w)).numpy().reshape(9, -1).T
        np.testing.assert_array_equal(ours.selection, ours.choice(x))
        assert set(ours.selection.numpy()) != set(plain.selection.numpy())

    def test_unknown_gradient(self):
        with pytest.raises(ValueError, match="`gradient` to be one of clip, approx, ede"):
            OneBit(gradient="swish")


class TestSchedule:
    def test_training_raises_t(self, rng):
        conv = lq.layers.QuantConv2D(
            4, 3, kernel_quantizer=OneBit(gradient="ede"), kernel_constraint="weight_clip"
        )
        model = keras.Sequential([keras.layers.Input((3, 3, 2)), conv])
        model.compile("sgd", "mse")
        seen = []
        watch = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append(
                float(conv.kernel_quantizer.ede_t.numpy())
            )
        )
        x, y = rng.normal(size=(4, 3, 3, 2)), rng.normal(size=(4, 1, 1, 4))
        schedule = SelectionSchedule(ede_t=geometric(0.1, 10.0), temperature=1.0)
        model.fit(x, y, batch_size=1, verbose=0, callbacks=[schedule, watch])
        np.testing.assert_allclose(seen, 0.1 * 100 ** (np.arange(4) / 4), rtol=1e-6)

    def test_runs_do_so_by_themselves(self):
        config = RunConfig(method="one_bit", codewords=512, options={"gradient": "ede"})
        (schedule,) = selection_schedules(config, 100)
        assert schedule.value("ede_t", 0) == pytest.approx(0.1)
        assert schedule.value("ede_t", 50) == pytest.approx(1.0)

    def test_errors(self):
        with pytest.raises(SparseBNNError, match="`ede_t` to be > 0, got 0"):
            SelectionSchedule(ede_t=0)
        with pytest.raises(SparseBNNError, match="`end` to be > 0, got 0"):
            geometric(0.1, 0)
