"""Which binary layers a converted file runs as 1-bit, against what LCE makes of them."""

import logging
import re

import pytest

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.transforms.binarity import has_binary_kernel, stays_float

lce = pytest.importorskip("larq_compute_engine")

from keras_sparsebnn import converters  # noqa: E402

MAP = (8, 8, 32)
SIGN = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
BINARY = {**SIGN, "input_quantizer": "ste_sign", "padding": "same", "pad_values": 1.0}
SEPARABLE = {
    "depthwise_quantizer": "ste_sign",
    "depthwise_constraint": "weight_clip",
    "pointwise_quantizer": "ste_sign",
    "pointwise_constraint": "weight_clip",
    "input_quantizer": "ste_sign",
}


def conv(kernel_size=3, **options):
    return lq.layers.QuantConv2D(32, kernel_size, **{**BINARY, **options})


def sign():
    return lq.quantizers.SteSign()


# Layers, the shape of what the first one gets, and why the last stays float.
CASES = {
    "plain": ([conv], MAP, None),
    "5x5": ([lambda: conv(5)], MAP, None),
    "rectangle": ([lambda: conv((3, 1))], MAP, None),
    "zero_padding": ([lambda: conv(pad_values=0.0)], MAP, None),
    "dilated": ([lambda: conv(dilation_rate=2)], MAP, None),
    "scaled_kernel": ([lambda: conv(kernel_quantizer="magnitude_aware_sign")], MAP, None),
    "approx_sign": ([lambda: conv(input_quantizer="approx_sign")], MAP, None),
    "sign_layer": ([sign, lambda: conv(input_quantizer=None)], MAP, None),
    "sign_activation": (
        [lambda: keras.layers.Activation(sign()), lambda: conv(input_quantizer=None)],
        MAP,
        None,
    ),
    "sign_and_dropout": (
        [sign, lambda: keras.layers.Dropout(0.5), lambda: conv(input_quantizer=None)],
        MAP,
        None,
    ),
    "groups_of_words": ([lambda: conv(groups=2)], (8, 8, 64), None),
    "groups": ([lambda: conv(groups=4)], MAP, "its groups have 8 input channels"),
    "no_input_quantizer": ([lambda: conv(input_quantizer=None)], MAP, "no input quantizer"),
    "sign_and_pool": (
        [sign, keras.layers.MaxPooling2D, lambda: conv(input_quantizer=None)],
        MAP,
        "no input quantizer",
    ),
    "scaled_input": (
        [lambda: conv(input_quantizer="magnitude_aware_sign")],
        MAP,
        "inputs are not .1 and -1 .MagnitudeAwareSign",
    ),
    "heaviside_input": ([lambda: conv(input_quantizer="ste_heaviside")], MAP, "SteHeaviside"),
    "heaviside_kernel": ([lambda: conv(kernel_quantizer="ste_heaviside")], MAP, "kernels are"),
    "dorefa_input": ([lambda: conv(input_quantizer="dorefa_quantizer")], MAP, "DoReFa"),
    "pads_with_minus_1": ([lambda: conv(pad_values=-1.0)], MAP, "pads with -1"),
    "conv_1d": ([lambda: lq.layers.QuantConv1D(32, 3, **BINARY)], (16, 32), "QuantConv1D has"),
    "conv_3d": ([lambda: lq.layers.QuantConv3D(32, 3, **BINARY)], (8, 8, 8, 32), "QuantConv3D"),
    "transpose": (
        [lambda: lq.layers.QuantConv2DTranspose(32, 3, input_quantizer="ste_sign", **SIGN)],
        MAP,
        "QuantConv2DTranspose has no binary operator",
    ),
    "dense": (
        [lambda: lq.layers.QuantDense(32, input_quantizer="ste_sign", **SIGN)],
        (32,),
        "QuantDense has",
    ),
    "separable": (
        [lambda: lq.layers.QuantSeparableConv2D(32, 3, **SEPARABLE)],
        MAP,
        "QuantSeparableConv2D has",
    ),
    "depthwise": (
        [
            lambda: lq.layers.QuantDepthwiseConv2D(
                3,
                depthwise_quantizer="ste_sign",
                depthwise_constraint="weight_clip",
                input_quantizer="ste_sign",
            )
        ],
        MAP,
        "QuantDepthwiseConv2D has",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_against_lce(case, seeded, caplog):
    makers, shape, reason = CASES[case]
    with caplog.at_level(logging.ERROR):
        model = keras.Sequential([keras.layers.Input(shape), *(make() for make in makers)])
    layer = model.layers[-1]
    assert has_binary_kernel(layer)
    found = stays_float(layer)
    assert (found is None) == (reason is None)
    assert reason is None or re.search(reason, found)
    # LCE's own converter: ours refuses some of these.
    flat = lce.convert_keras_model(model)
    assert len(converters.inspect(flat).binary_layers) == (reason is None)


def test_layers_without_binary_kernels():
    for layer in (
        keras.layers.Dense(3),
        lq.layers.QuantConv2D(4, 3),
        conv(kernel_quantizer=None),
    ):
        assert not has_binary_kernel(layer)
        assert stays_float(layer) is None
