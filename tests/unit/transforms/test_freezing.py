"""Freezing: plain +-1 kernels, the same predictions, the model untouched."""

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.models import small
from keras_sparsebnn.quantizers import FixedSubset, SparseKernel

pytestmark = pytest.mark.smoke


@pytest.fixture
def trained(rng, seeded):
    model = small(
        (8, 8, 1),
        10,
        kernel_quantizer=lambda n: SparseKernel(16, noise_scale=1.0, logits="free"),
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = rng.normal(size=(64, 8, 8, 1)).astype(np.float32)
    model.fit(x, rng.integers(0, 10, 64), batch_size=16, verbose=0)
    return model, x


def test_same_predictions_and_no_trace_of_selection(trained):
    model, x = trained
    before = [weight.copy() for weight in model.get_weights()]
    frozen = ksb.freeze(model)
    assert np.array_equal(frozen(x, training=False), model(x, training=False))
    assert not any("sparse_kernel" in weight.name for weight in frozen.weights)
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        assert np.array_equal(ours, theirs)


def test_kernels_are_selected_codewords(trained):
    model, _ = trained
    frozen = ksb.freeze(model)
    for layer in model.layers:
        if not isinstance(layer, SparseBinaryConv2D):
            continue
        kernel = frozen.get_layer(layer.name).kernel.numpy()
        assert set(np.unique(kernel)) == {-1.0, 1.0}
        ids = codebook.encode(kernel.reshape(9, -1).T)
        assert set(ids) <= set(layer.kernel_quantizer.selection.numpy())


def test_frozen_layers_are_one_bit_for_larq(trained):
    frozen = ksb.freeze(trained[0])
    layer = frozen.get_layer("binary0")
    assert type(layer) is lq.layers.QuantConv2D
    assert layer.kernel_quantizer.precision == 1


def test_nested_shared_and_scaled(rng, seeded):
    conv = SparseBinaryConv2D(
        8,
        3,
        kernel_quantizer=FixedSubset(8, magnitude_scale=True),
        padding="same",
        input_quantizer="ste_sign",
    )
    inner_inputs = keras.layers.Input((6, 6, 8))
    inner = keras.Model(inner_inputs, keras.layers.BatchNormalization()(conv(inner_inputs)))
    inputs = keras.layers.Input((6, 6, 8))
    model = keras.Model(inputs, inner(inner(inputs)))
    conv.bias.assign(rng.normal(size=8))
    x = rng.normal(size=(4, 6, 6, 8)).astype(np.float32)
    frozen = ksb.freeze(model)
    np.testing.assert_allclose(frozen(x), model(x), rtol=1e-6)
    assert frozen.count_params() == 9 * 8 * 8 + 8 + 4 * 8


def test_mixed_precision_freezes_to_float32(rng, seeded):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = small((8, 8, 1), 10, kernel_quantizer=lambda n: SparseKernel(16))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    frozen = ksb.freeze(model)
    assert {layer.compute_dtype for layer in frozen.layers} == {"float32"}
    # The frozen kernel is what the mixed model convolves with: the nearest codeword of the
    # bfloat16 latents.
    layer = model.get_layer("binary4")
    with lq.context.quantized_scope(False):
        latent = layer.kernel.numpy()
    rounded = latent.astype("bfloat16").astype(np.float32)
    ids = codebook.nearest(rounded.reshape(9, -1).T, layer.kernel_quantizer.selection.numpy())
    kernel = frozen.get_layer("binary4").kernel.numpy()
    assert np.array_equal(codebook.encode(kernel.reshape(9, -1).T), ids)


def test_errors(seeded):
    class Subclassed(keras.Model):
        pass

    with pytest.raises(ValueError, match="Expected a Sequential or functional model, got Sub"):
        ksb.freeze(Subclassed())
    unbuilt = keras.Sequential([SparseBinaryConv2D(8, 3)])
    with pytest.raises(ValueError, match="Expected a built model"):
        ksb.freeze(unbuilt)
