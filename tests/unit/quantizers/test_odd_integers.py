"""M-bit values and their signs, against every value there is."""

import itertools

import numpy as np
import pytest

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import OddIntegers
from keras_sparsebnn.quantizers.odd_integers import sign_planes

BITS = (1, 2, 3, 4)


def values(bits, value_range):
    """All that a quantizer may give, ascending, in float64."""
    n = 2**bits - 1
    return np.arange(n + 1) / n if value_range == "unit" else np.arange(-n, n + 1, 2) / n


@pytest.mark.parametrize("bits", BITS)
def test_every_combination_of_signs_comes_back(bits):
    n = 2**bits - 1
    signs = np.array(list(itertools.product([-1, 1], repeat=bits)))
    odd = signs @ 2 ** np.arange(bits)[::-1]
    assert sorted(odd) == list(range(-n, n + 1, 2))
    planes = sign_planes(tf.constant(odd / n, tf.float32), bits)
    np.testing.assert_array_equal(np.stack(planes, axis=-1), signs)


@pytest.mark.parametrize("value_range", ["symmetric", "unit"])
@pytest.mark.parametrize("bits", BITS)
class TestOddIntegers:
    def test_every_value_stays_as_it_is(self, bits, value_range):
        quantizer = OddIntegers(bits, value_range=value_range)
        known = tf.constant(values(bits, value_range), tf.float32)
        np.testing.assert_array_equal(quantizer(known), known)

    def test_the_value_next_to_any(self, bits, value_range, rng):
        known = values(bits, value_range)
        x = rng.uniform(-1.5, 1.5, 500).astype(np.float32)
        x = np.concatenate([x, [-100.0, 100.0]]).astype(np.float32)
        nearest = known[np.abs(x[:, None] - known).argmin(axis=1)]
        quantizer = OddIntegers(bits, value_range=value_range)
        np.testing.assert_allclose(quantizer(x), nearest, rtol=1e-6)
        n = 2**bits - 1
        np.testing.assert_array_equal(quantizer.integers(tf.constant(x)), np.round(n * nearest))

    def test_gradient(self, bits, value_range, rng):
        quantizer = OddIntegers(bits, value_range=value_range)
        low = 0.0 if value_range == "unit" else -1.0
        x = np.array([*rng.normal(size=60), -1.0, 0.0, 1.0], np.float32)
        g = rng.normal(size=x.shape).astype(np.float32)
        inputs = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(quantizer(inputs) * g)
        expected = np.where((x >= low) & (x <= 1), g, 0)
        np.testing.assert_allclose(tape.gradient(loss, inputs), expected, rtol=1e-6)


def test_half_way_between_two_values():
    x = tf.constant([-2 / 3, 0.0, 2 / 3])
    np.testing.assert_array_equal(OddIntegers(2).integers(x), [-1, 1, 3])
    x = tf.constant([1 / 6, 0.5, 5 / 6])
    unit = OddIntegers(2, value_range="unit").integers(x).numpy()
    assert unit[1] == 1  # 1/6 and 5/6 are no floats


def test_one_bit_is_a_sign(rng):
    x = tf.constant([*rng.normal(scale=2, size=50), 0.0], tf.float32)
    results = []
    for quantizer in (OddIntegers(1), lq.quantizers.SteSign()):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = quantizer(x)
        results.append((y, tape.gradient(y, x)))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_graph_and_types(rng):
    x = tf.constant(rng.normal(size=(5, 4)), tf.float32)
    quantizer = OddIntegers(3)
    compiled = tf.function(quantizer.integers, jit_compile=True)
    np.testing.assert_array_equal(compiled(x), quantizer.integers(x))
    low = OddIntegers(3, dtype="mixed_bfloat16")(x)
    assert low.dtype == tf.bfloat16
    rounded = tf.cast(tf.cast(x, tf.bfloat16), tf.float32)
    np.testing.assert_allclose(tf.cast(low, tf.float32), quantizer(rounded), rtol=2**-8)


def test_config():
    quantizer = OddIntegers(3, value_range="unit")
    copy = lq.quantizers.get(lq.quantizers.serialize(quantizer))
    assert (copy.bits, copy.value_range, copy.precision) == (3, "unit", 3)
    assert lq.quantizers.get("odd_integers").bits == 2
    layer = lq.layers.QuantConv2D(2, 1, input_quantizer=OddIntegers(3))
    assert keras.layers.deserialize(keras.layers.serialize(layer)).input_quantizer.bits == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, r"`bits` to be an integer in \[1, 8\], got 0"),
        ({"bits": True}, "got True"),
        ({"value_range": "signed"}, "one of symmetric, unit, got 'signed'"),
    ],
)
def test_errors(options, message):
    with pytest.raises(SparseBNNError, match=message):
        OddIntegers(**options)
