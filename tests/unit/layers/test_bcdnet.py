"""BCDNet's layers: the shifts against np.roll, the embedding against its equation in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.layers import ChannelShift, DynamicEmbedding
from keras_sparsebnn.layers.channel_shift import SHIFT_MODES

QUARTERS = ((1, 1), (1, -1), (2, 1), (2, -1))
"""Axis and direction of each quarter of the channels."""


def rolled(x, distance, mode):
    """By the definition: np.roll, and +1 in the rows and columns that come from outside."""
    parts = []
    for part, (axis, direction) in zip(np.split(x, 4, axis=3), QUARTERS, strict=True):
        rows = x.shape[axis]
        steps = rows // 2 if distance == "half" else distance
        part = np.roll(part, direction * steps, axis)
        if mode == "pad" and steps:
            index = [slice(None)] * 4
            index[axis] = slice(None, steps) if direction > 0 else slice(-steps, None)
            part[tuple(index)] = 1.0
        parts.append(part)
    return np.concatenate(parts, axis=3)


@pytest.mark.parametrize("mode", SHIFT_MODES)
class TestShift:
    @pytest.mark.parametrize("distance", [1, 2, 3, 4, 7, "half"])
    @pytest.mark.parametrize("side", [(7, 7), (4, 5), (3, 8), (1, 1)])
    def test_forward(self, rng, distance, side, mode):
        x = rng.normal(size=(2, *side, 8)).astype(np.float32)
        y = ChannelShift(distance, mode)(x)
        np.testing.assert_array_equal(y, rolled(x, distance, mode))

    def test_signs_commute(self, rng, mode):
        x = rng.normal(size=(2, 7, 5, 8)).astype(np.float32)
        layer = ChannelShift("half", mode)
        np.testing.assert_array_equal(layer(np.sign(x)), np.sign(layer(x)))

    def test_gradient_moves_back(self, rng, mode):
        x = tf.constant(rng.normal(size=(1, 5, 4, 4)), tf.float32)
        g = rng.normal(size=x.shape).astype(np.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(ChannelShift(2, mode)(x) * g)
        quarters = [
            np.roll(part, -2 * direction, axis)
            for part, (axis, direction) in zip(np.split(g, 4, axis=3), QUARTERS, strict=True)
        ]
        if mode == "pad":  # what left the map, or came from outside, has no gradient
            quarters[0][:, -2:] = quarters[1][:, :2] = 0.0
            quarters[2][:, :, -2:] = quarters[3][:, :, :2] = 0.0
        expected = np.concatenate(quarters, axis=3)
        np.testing.assert_array_equal(tape.gradient(loss, x), expected)

    def test_the_configuration_is_complete(self, mode):
        layer = ChannelShift("half", mode)
        copy = ChannelShift.from_config(layer.get_config())
        assert (copy.distance, copy.mode) == ("half", mode)

    def test_half_precision(self, mode):
        layer = ChannelShift(1, mode, dtype="mixed_bfloat16")
        assert layer(np.ones((1, 3, 3, 4), np.float32)).dtype == tf.bfloat16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distance": 0}, 'above 0 or "half", got 0 '),
        ({"distance": "third"}, "got 'third'"),
        ({"distance": True}, "got True"),
        ({"mode": "zero"}, "a shift of circular or pad, got 'zero'"),
    ],
)
def test_arguments_of_a_shift(arguments, message):
    with pytest.raises(ValueError, match=message):
        ChannelShift(**arguments)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((None, 4, 4, 6), "multiple of 4 channels, got 6"),
        ((None, None, 4, 8), r"maps of a known size, got shape \(None, None, 4, 8\)"),
        ((None, 4, 8), "maps of a known size"),
    ],
)
def test_maps_that_cannot_be_shifted(shape, message):
    with pytest.raises(ValueError, match=message):
        ChannelShift().build(shape)


class TestDynamicEmbedding:
    @pytest.fixture
    def layer(self, rng):
        made = DynamicEmbedding(5, reduction=4)
        made.build((None, 3, 4, 8))
        made.set_weights([rng.normal(size=w.shape) for w in made.get_weights()])
        return made

    def test_forward(self, layer, rng):
        x = rng.normal(size=(2, 3, 4, 8))
        w1, w2, w3 = (w.numpy().astype(np.float64) for w in (layer.w1, layer.w2, layer.w3))
        assert [w.shape for w in (w1, w2, w3)] == [(8, 2), (2, 8), (2, 5)]
        z = x.mean(axis=(1, 2)) @ w1
        y, offset = layer(x.astype(np.float32))
        expected = x + layer.shift.numpy() - (z @ w2)[:, None, None]
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(offset, (z @ w3)[:, None, None], rtol=1e-5, atol=1e-5)

    def test_gradients(self, layer, rng):
        x = tf.constant(rng.normal(size=(2, 3, 4, 8)), tf.float32)
        g, h = rng.normal(size=(2, 3, 4, 8)), rng.normal(size=(2, 1, 1, 5))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, offset = layer(x)
            loss = tf.reduce_sum(y * tf.constant(g, tf.float32))
            loss += tf.reduce_sum(offset * tf.constant(h, tf.float32))
        variables = [x, layer.w1, layer.w2, layer.w3, layer.shift]
        to_x, to_w1, to_w2, to_w3, to_shift = map(np.array, tape.gradient(loss, variables))
        w1, w2, w3 = (w.numpy().astype(np.float64) for w in (layer.w1, layer.w2, layer.w3))
        mean = x.numpy().mean(axis=(1, 2))
        z, total, up = mean @ w1, g.sum(axis=(1, 2)), h[:, 0, 0]
        to_z = up @ w3.T - total @ w2.T
        tolerance = {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(to_x, g + (to_z @ w1.T / 12)[:, None, None], **tolerance)
        np.testing.assert_allclose(to_w1, mean.T @ to_z, **tolerance)
        np.testing.assert_allclose(to_w2, -z.T @ total, **tolerance)
        np.testing.assert_allclose(to_w3, z.T @ up, **tolerance)
        np.testing.assert_allclose(to_shift, total.sum(axis=0), **tolerance)

    def test_starts_without_context(self, rng):
        x = rng.normal(size=(2, 3, 4, 8)).astype(np.float32)
        y, offset = DynamicEmbedding(5)(x)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(offset, np.zeros((2, 1, 1, 5)))

    def test_in_a_model(self, layer, rng, tmp_path):
        inputs = keras.layers.Input((3, 4, 8))
        model = keras.Model(inputs, layer(inputs))
        assert [x.shape for x in model.outputs] == [(None, 3, 4, 8), (None, 1, 1, 5)]
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        x = rng.normal(size=(2, 3, 4, 8)).astype(np.float32)
        for ours, theirs in zip(model(x), loaded(x), strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_half_precision_takes_the_mean_in_float32(self):
        layer = DynamicEmbedding(1, reduction=4, dtype="mixed_bfloat16")
        x = tf.ones([1, 64, 64, 4])
        layer.build(x.shape)
        layer.set_weights([np.ones(w.shape) for w in layer.get_weights()])
        y, offset = layer(x)
        assert y.dtype == offset.dtype == tf.bfloat16
        assert offset.numpy().item() == 4.0

    @pytest.mark.parametrize("arguments", [{"filters": 0}, {"filters": 4, "reduction": 0.5}])
    def test_arguments(self, arguments):
        with pytest.raises(ValueError, match=r"to be an integer in \[1, 65536\], got 0"):
            DynamicEmbedding(**arguments)

    def test_unknown_channels(self):
        with pytest.raises(ValueError, match="Expected a known number of channels"):
            DynamicEmbedding(4).build(tf.TensorShape([None, 3, 3, None]))
