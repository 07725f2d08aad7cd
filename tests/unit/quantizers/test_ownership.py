"""A quantizer's codewords are the state of one layer, so no two layers share one."""

import copy
import gc

import numpy as np
import pytest

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.quantizers import METHODS, FixedSubset, SparseKernel

SHARED = "Expected a quantizer of its own for each layer, got .* in layers first and second"
OPTIONS = {"padding": "same", "input_quantizer": "ste_sign", "use_bias": False}


def larq_conv(quantizer, name):
    return lq.layers.QuantConv2D(
        8, 3, kernel_quantizer=quantizer, kernel_constraint="weight_clip", name=name, **OPTIONS
    )


def larq_transpose(quantizer, name):
    return lq.layers.QuantConv2DTranspose(
        8,
        3,
        kernel_quantizer=quantizer,
        kernel_constraint="weight_clip",
        padding="same",
        name=name,
    )


def ours(quantizer, name):
    return SparseBinaryConv2D(8, 3, kernel_quantizer=quantizer, name=name, **OPTIONS)


LAYERS = [larq_conv, larq_transpose, ours]


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_refuses_a_second_layer(method, make):
    q = METHODS[method](512 if method == "one_bit" else 16)
    inputs = keras.layers.Input((6, 6, 8))
    x = make(q, "first")(inputs)
    with pytest.raises(ValueError, match=SHARED):
        make(q, "second")(x)


@pytest.mark.parametrize("make", LAYERS)
def test_eager_calls_refuse_too(make):
    q = SparseKernel(16)
    layers = [make(q, name) for name in ("first", "second")]
    x = layers[0](tf.ones([1, 6, 6, 8]))
    with pytest.raises(ValueError, match=SHARED):
        layers[1](x)


def test_ours_refuses_when_it_is_built():
    q = SparseKernel(16)
    first = ours(q, "first")
    first.build((None, 6, 6, 8))
    with pytest.raises(ValueError, match=SHARED):
        ours(q, "second").build((None, 6, 6, 8))


@pytest.mark.parametrize("kernel_size", [1, 3])  # the pointwise kernel is 1x1
def test_two_kernels_of_one_layer(kernel_size):
    q = FixedSubset(2)
    layer = lq.layers.QuantSeparableConv2D(
        8,
        kernel_size,
        depthwise_quantizer=q,
        depthwise_constraint="weight_clip",
        pointwise_quantizer=q,
        pointwise_constraint="weight_clip",
        name="separable",
    )
    reason = (
        "Expected a quantizer of its own for each kernel, got .* as depthwise_quantizer and "
        "pointwise_quantizer of layer separable. Make one per kernel"
    )
    with pytest.raises(ValueError, match=reason):
        layer(tf.ones([1, 6, 6, 9]))


def test_kernels_of_another_size():
    q = FixedSubset(2)
    q(tf.ones([3, 3, 1, 1]))
    with pytest.raises(ValueError, match=r"Expected kernels of 3x3, got shape \(1, 1, 9, 8\)"):
        q(tf.ones([1, 1, 9, 8]))


def test_one_layer_in_several_places(tmp_path):
    layer = ours(SparseKernel(16), "shared")
    inputs = keras.layers.Input((6, 6, 8))
    model = keras.Model(inputs, layer(layer(inputs)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = np.ones((1, 6, 6, 8), np.float32)
    np.testing.assert_array_equal(model(x), loaded(x))


def test_copies_are_for_other_layers():
    q = SparseKernel(16)
    x = larq_conv(q, "first")(tf.ones([1, 6, 6, 8]))
    for other in (copy.deepcopy(q), SparseKernel.from_config(q.get_config())):
        larq_conv(other, "second")(x)


def test_a_layer_that_is_gone_owns_nothing():
    q = SparseKernel(16)
    layer = larq_conv(q, "first")
    layer(tf.ones([1, 6, 6, 8]))
    del layer
    gc.collect()
    larq_conv(q, "second")(tf.ones([1, 6, 6, 8]))


def test_stateless_quantizers_may_be_shared():
    q = lq.quantizers.SteSign()
    larq_conv(q, "second")(larq_conv(q, "first")(tf.ones([1, 6, 6, 8])))
