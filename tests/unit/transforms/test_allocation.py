"""`allocate`: n for each layer, from what restricting it costs."""

import math

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import sparse_quantizer
from keras_sparsebnn.models import small
from keras_sparsebnn.transforms.allocation import sensitivity

WIDTHS = (8, 16, 32)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 32, 8, 8, 1)).astype(np.float32)
    return [(tf.constant(x), tf.constant(rng.integers(0, 4, 32))) for x in images]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return small((8, 8, 1), 4, widths=WIDTHS, kernel_quantizer="ste_sign")


@pytest.fixture(scope="module")
def rises(model, data):
    return sensitivity(model, data, candidates=(4, 64, 512), loss=LOSS)


def mean_loss(model, data):
    return np.mean([float(LOSS(y, model(x, training=True))) for x, y in data])


def test_is_the_loss_of_restricting_one_layer(model, data, rises):
    before = [w.copy() for w in model.get_weights()]
    copy = keras.models.clone_model(model)  # training=True changes batch norm
    copy.set_weights(before)
    base = mean_loss(copy, data)
    for name in ("binary0", "binary2"):
        assert rises[name][512] == 0
        for n in (4, 64):
            one = ksb.restrict(model, {name: n, "*": 512})
            assert rises[name][n] == pytest.approx(mean_loss(one, data) - base, abs=2e-5)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_dropout_and_noise_do_not_count(model, data, rises):
    inputs = keras.layers.Input((8, 8, 1))
    noisy = keras.layers.GaussianNoise(1.0)(keras.layers.Dropout(0.5)(inputs))
    nested = keras.Model(inputs, model(noisy))
    assert sensitivity(nested, data, candidates=(4, 64, 512), loss=LOSS) == rises


def bits(chosen):
    kernels = dict(zip((f"binary{i}" for i in range(3)), (64, 128, 512), strict=True))
    indices = sum(kernels[name] * math.log2(n) for name, n in chosen.items())
    codebooks = sum(9 * n for n in chosen.values() if n < 512)
    return (indices + codebooks) / (9 * sum(kernels.values()))


@pytest.mark.parametrize("budget", [0.25, 0.3, 0.6, 1.0])
def test_stays_within_the_budget_and_uses_it(model, data, rises, budget):
    chosen = ksb.allocate(
        model, data, bits_per_weight=budget, candidates=(4, 64, 512), loss=LOSS
    )
    assert list(chosen) == ["binary0", "binary1", "binary2"]
    assert bits(chosen) <= budget + 1e-9
    cost = sum(rises[name][n] for name, n in chosen.items())
    # No other allocation within the budget costs less.
    names = list(chosen)
    for a in (4, 64, 512):
        for b in (4, 64, 512):
            for c in (4, 64, 512):
                other = dict(zip(names, (a, b, c), strict=True))
                if bits(other) <= budget + 1e-9:
                    assert cost <= sum(rises[k][n] for k, n in other.items()) + 1e-9


def test_codebooks_count(model, data):
    """The 64 kernels of binary0 take 576 bits as they are, 832 with 64 codewords."""
    chosen = ksb.allocate(model, data, bits_per_weight=0.86, candidates=(64, 512), loss=LOSS)
    assert chosen == {"binary0": 512, "binary1": 512, "binary2": 64}


def test_what_it_returns_is_taken_everywhere(model, data):
    chosen = {"binary0": 512, "binary1": 8, "binary2": 4}
    restricted = ksb.restrict(model, chosen)
    assert sparse_quantizer(restricted.get_layer("binary0")) is None
    assert sparse_quantizer(restricted.get_layer("binary2")).codewords == 4
    built = small((8, 8, 1), 4, widths=WIDTHS, codewords=chosen)
    assert sparse_quantizer(built.get_layer("binary1")).codewords == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits_per_weight": 0}, r"`bits_per_weight` to be a number in \(0, 1\], got 0"),
        ({"candidates": (8, 12)}, "a power of two"),
        ({"candidates": (8, 8)}, "Expected different candidates"),
        ({"bits_per_weight": 0.1}, "Expected a budget of at least"),
        ({"loss": None}, "Expected a compiled model with a loss object, or `loss`"),
        ({"data": []}, "Expected at least one batch to measure, got none"),
        ({"data": [(1, 2, 3)]}, "batches of two parts, images and labels, got 3"),
        ({"data": np.zeros((2, 8, 8, 1))}, "images and labels, got ndarray"),
    ],
)
def test_errors(model, data, options, message):
    given = {"data": data, "loss": LOSS, "candidates": (8, 512), **options}
    with pytest.raises((SparseBNNError, ValueError), match=message):
        ksb.allocate(model, given.pop("data"), **given)


def test_restrict_checks_a_mapping(model):
    with pytest.raises(SparseBNNError, match="Expected `codewords` to name every binary layer"):
        ksb.restrict(model, {"binary0": 8})
    with pytest.raises(SparseBNNError, match="Expected every key of `codewords` to apply"):
        ksb.restrict(model, {"*": 8, "nowhere": 4})
