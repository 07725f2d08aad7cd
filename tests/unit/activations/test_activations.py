"""RSign's shift, RPReLU and FTBNN's modules against their equations, in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn import layers
from keras_sparsebnn._keras import keras, tf

pytestmark = pytest.mark.smoke


def shift(x, g, shift):
    return x + shift, {"x": g, "shift": g.sum((0, 1, 2))}


def rprelu(x, g, gamma, beta, zeta):
    above = x > gamma
    slope = np.where(above, 1, beta)
    return np.where(above, x - gamma, beta * (x - gamma)) + zeta, {
        "x": g * slope,
        "gamma": -(g * slope).sum((0, 1, 2)),
        "beta": (g * np.minimum(x - gamma, 0)).sum((0, 1, 2)),
        "zeta": g.sum((0, 1, 2)),
    }


def two_sided_prelu(x, g, right, left):
    slope = np.where(x > 0, right, left)
    return slope * x, {
        "x": g * slope,
        "right": (g * np.maximum(x, 0)).sum((0, 1, 2)),
        "left": (g * np.minimum(x, 0)).sum((0, 1, 2)),
    }


def hard_tanh(x, g):
    return np.clip(x, -1, 1), {"x": np.where(np.abs(x) <= 1, g, 0)}


CASES = {
    "LearnableShift": shift,
    "RPReLU": rprelu,
    "TwoSidedPReLU": two_sided_prelu,
    "HardTanh": hard_tanh,
}
SHAPE = (2, 3, 4, 5)


@pytest.fixture(params=CASES)
def case(request, rng):
    """A layer with parameters of no special values, and its equations."""
    layer = getattr(layers, request.param)()
    layer.build(SHAPE)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    return layer, CASES[request.param]


def short_name(weight):
    return weight.name.rpartition("/")[2].removesuffix(":0")


class TestForwardAndGradient:
    def test_equals_the_equations(self, case, rng):
        layer, equations = case
        x, g = rng.normal(size=(2, *SHAPE)).astype(np.float32)
        if isinstance(layer, layers.RPReLU):
            x[0, 0] = layer.gamma.numpy()  # on the bend
        elif isinstance(layer, layers.TwoSidedPReLU):
            x[0, 0] = 0
        values = {short_name(w): w.numpy() for w in layer.weights}
        expected, gradients = equations(x, g, **values)
        inputs = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
        ours = tape.gradient(outputs, [inputs, *layer.weights], output_gradients=tf.constant(g))
        np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
        names = ["x", *map(short_name, layer.weights)]
        assert sorted(names) == sorted(gradients)
        for name, value in zip(names, ours, strict=True):
            np.testing.assert_allclose(value, gradients[name], rtol=1e-4, atol=1e-5)

    def test_starts_as_published(self):
        x = tf.constant([[-4.0, 0.0, 4.0]])
        for name in ("RPReLU", "TwoSidedPReLU"):
            assert getattr(layers, name)()(x).numpy().tolist() == [[-1, 0, 4]]
        assert layers.LearnableShift()(x).numpy().tolist() == [[-4, 0, 4]]


class TestCommon:
    def test_parameters_are_per_channel_and_trainable(self, case):
        layer, _ = case
        assert all(w.shape == (5,) for w in layer.weights)
        assert len(layer.trainable_weights) == len(layer.weights)
        assert layer.compute_output_shape(SHAPE) == SHAPE

    @pytest.mark.parametrize("suffix", [".keras", ".h5"])
    @pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
    def test_saves_and_loads(self, case, rng, tmp_path, suffix):
        layer, _ = case
        model = keras.Sequential([keras.layers.Input(SHAPE[1:]), layer])
        x = rng.normal(size=SHAPE).astype(np.float32)
        model.save(tmp_path / f"model{suffix}")
        loaded = keras.models.load_model(tmp_path / f"model{suffix}")
        np.testing.assert_array_equal(loaded(x), model(x))
        clone = keras.models.clone_model(model)
        clone.set_weights(model.get_weights())
        np.testing.assert_array_equal(clone(x), model(x))

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_mixed_precision_keeps_float32_parameters(self, case, policy):
        layer = type(case[0])(dtype=policy)
        outputs = layer(tf.ones(SHAPE))
        assert outputs.dtype == policy.removeprefix("mixed_")
        assert all(w.dtype == tf.float32 for w in layer.weights)

    def test_works_on_vectors(self, case):
        layer = type(case[0]).from_config(case[0].get_config())
        assert layer(tf.ones([2, 5])).shape == (2, 5)

    def test_unknown_channels(self):
        with pytest.raises(
            ValueError, match=r"known number of channels, got shape .*\(layer r"
        ):
            layers.RPReLU(name="r").build((None, 4, 4, None))
