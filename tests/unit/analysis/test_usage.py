"""Codeword counts of binary convolutions."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.analysis.usage import (
    binary_layers,
    codeword_counts,
    kernel_patterns,
    usage_entropy,
)
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.quantizers import FixedSubset, SparseKernel
from keras_sparsebnn.transforms.freezing import freeze


def counted_one_by_one(kernel: np.ndarray) -> np.ndarray:
    """The definition, kernel by kernel: bit t of an id is 1 where tap t is negative."""
    k, _, channels_in, channels_out = kernel.shape
    counts = np.zeros(2 ** (k * k), np.int64)
    for i in range(channels_in):
        for o in range(channels_out):
            taps = kernel[:, :, i, o].ravel()
            counts[sum(2**t for t, tap in enumerate(taps) if tap < 0)] += 1
    return counts


def built(layer, channels: int = 6):
    layer.build((None, 5, 5, channels))
    return layer


@pytest.mark.parametrize("kernel_size", [1, 2, 3])
@pytest.mark.parametrize("quantizer", ["ste_sign", "magnitude_aware_sign", "approx_sign"])
def test_counts_of_larqs_quantizers(seeded, quantizer, kernel_size):
    layer = built(
        lq.layers.QuantConv2D(
            9, kernel_size, kernel_quantizer=quantizer, kernel_constraint="weight_clip"
        )
    )
    expected = counted_one_by_one(layer.get_weights()[0])
    np.testing.assert_array_equal(codeword_counts(layer), expected)


def test_counts_of_a_selection_are_those_of_its_nearest_codewords(seeded):
    layer = built(SparseBinaryConv2D(9, 3, kernel_quantizer=SparseKernel(8, seed=3)))
    ids = layer.kernel_quantizer.selection.numpy()
    with lq.context.quantized_scope(False):
        latent = np.moveaxis(np.asarray(layer.kernel).reshape(9, 6, 9), 0, -1)
    expected = codebook.nearest(latent.reshape(-1, 9), ids)
    np.testing.assert_array_equal(kernel_patterns(layer).ravel(), expected)
    counts = codeword_counts(layer)
    assert counts.sum() == 54
    assert set(np.flatnonzero(counts)) <= set(ids)


def test_counts_survive_freezing(seeded):
    x = images = keras.layers.Input((5, 5, 4))
    for quantizer in (FixedSubset(16, seed=1), SparseKernel(16, magnitude_scale=True, seed=2)):
        x = SparseBinaryConv2D(
            4, 3, padding="same", pad_values=1.0, kernel_quantizer=quantizer
        )(x)
    model = keras.Model(images, x)
    before = [codeword_counts(layer) for layer in binary_layers(model)]
    after = [codeword_counts(layer) for layer in binary_layers(freeze(model))]
    assert len(before) == 2
    np.testing.assert_array_equal(before, after)


def test_finds_binary_layers_in_nested_models_only():
    inner = keras.Sequential(
        [
            keras.layers.Input((5, 5, 4)),
            keras.layers.Conv2D(4, 3),
            SparseBinaryConv2D(4, 2, codewords=4, name="inner"),
        ]
    )
    outer = keras.Sequential(
        [
            inner,
            lq.layers.QuantConv2D(
                4, 1, kernel_quantizer="ste_sign", kernel_constraint="weight_clip", name="outer"
            ),
            keras.layers.Flatten(),
            lq.layers.QuantDense(
                3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip"
            ),
        ]
    )
    assert [layer.name for layer in binary_layers(outer)] == ["inner", "outer"]


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Dense(3),
        lambda: keras.layers.Conv2D(3, 3),
        lambda: lq.layers.QuantConv2D(3, 3, kernel_quantizer="ste_tern"),
        lambda: lq.layers.QuantConv2D(
            3, 5, kernel_quantizer="ste_sign", kernel_constraint="weight_clip"
        ),
    ],
)
def test_other_layers_are_refused(layer):
    with pytest.raises(SparseBNNError, match="binary 1x1, 2x2 or 3x3 kernel, got"):
        codeword_counts(layer())


def test_unbuilt_layers_are_refused():
    with pytest.raises(SparseBNNError, match=r"Expected a built layer, got .* without weights"):
        codeword_counts(SparseBinaryConv2D(4, 3, codewords=8))


@pytest.mark.parametrize(
    ("counts", "bits"),
    [([5], 0.0), ([1, 1], 1.0), ([0, 3, 0, 1], 0.8112781244591328), (np.ones(512), 9.0)],
)
def test_entropy(counts, bits):
    assert usage_entropy(counts) == pytest.approx(bits, abs=1e-12)
