"""Int8 layers: the integers of the equation, in every interpreter, and only where they fit."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn.converters import ConversionError, convert_file
from keras_sparsebnn.converters.int8_layers import (
    Range,
    calibrate,
    quantize_layers,
    ranges_of,
)
from keras_sparsebnn.converters.int8_weights import quantize_weights
from keras_sparsebnn.runtime import Interpreter
from keras_sparsebnn.tflite_file import ModelBuilder, Table, read

SAME, RELU, RELU6 = 0, 1, 3
SHAPE = (1, 9, 8, 3)
STEM = {"int8_layers": ("stem",)}


class Stem:
    """A file: pad, strided convolution with ReLU6, depthwise convolution, max pool, softmax."""

    def __init__(self, rng):
        self.filter = rng.normal(size=(5, 3, 3, 3)).astype(np.float32)
        self.filter[2] *= 1e-12  # as good as dead, but with a bias
        self.bias = rng.normal(size=5).astype(np.float32)
        self.depthwise = rng.normal(size=(1, 3, 3, 5)).astype(np.float32)
        self.images = rng.uniform(-1, 1.2, (40, *SHAPE[1:])).astype(np.float32)
        builder = ModelBuilder()
        pads = builder.constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
        shapes = (SHAPE, (1, 11, 10, 3), (1, 5, 4, 5), (1, 5, 4, 5), (1, 3, 2, 5), (1, 3, 2, 5))
        x, padded, wide, deep, pooled, y = (builder.activation(s, "float32") for s in shapes)
        builder.operator("PAD", [x, pads], [padded], Table("PadOptions"))
        strided = Table(
            "Conv2DOptions", padding=1, stride_h=2, stride_w=2, fused_activation_function=RELU6
        )
        weights = [builder.constant(self.filter), builder.constant(self.bias)]
        builder.operator("CONV_2D", [padded, *weights], [wide], strided)
        options = Table(
            "DepthwiseConv2DOptions", padding=SAME, stride_h=1, stride_w=1, depth_multiplier=1
        )
        # The bias of the layer before, which two operators read.
        depthwise = [wide, builder.constant(self.depthwise), weights[1]]
        builder.operator("DEPTHWISE_CONV_2D", depthwise, [deep], options)
        pool = Table(
            "Pool2DOptions",
            padding=SAME,
            stride_h=2,
            stride_w=2,
            filter_height=2,
            filter_width=2,
        )
        builder.operator("MAX_POOL_2D", [deep], [pooled], pool)
        builder.operator("SOFTMAX", [pooled], [y], Table("SoftmaxOptions", beta=1.0))
        self.flat = builder.to_bytes([x], [y])
        found = calibrate(self.flat, self.images)
        self.ranges = found["stem"]
        self.int8 = quantize_layers(self.flat, found)


@pytest.fixture(scope="module")
def stem():
    return Stem(np.random.default_rng(7))


def outputs(model, names, images, runtime="litert"):
    """Integers, or floats, of the operators' outputs, in order of `names`."""
    file = read(model)
    (graph,) = file.subgraphs
    graph.table["outputs"] = [
        next(o.outputs[0] for o in graph.operators if o.name == name) for name in names
    ]
    found = Interpreter(file.to_bytes(), runtime=runtime).predict(images)
    return found if isinstance(found, list) else [found]


def windows(x, size, stride):
    """[n, h, w, c] -> [n, h', w', size, size, c], without padding."""
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return view[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)


@pytest.mark.parametrize("runtime", ["litert", "lce"])
def test_computes_the_equation(stem, runtime):
    """Independently, in 64-bit NumPy; one step is the runtime's rounding of the product."""
    image, wide, deep = stem.ranges
    names = ("QUANTIZE", "PAD", "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "DEQUANTIZE")
    x, padded, first, second, pooled, floats = outputs(stem.int8, names, stem.images, runtime)
    expected = np.clip(np.rint(stem.images / image.scale) + image.zero_point, -128, 127)
    np.testing.assert_array_equal(x, expected)
    around = ((0, 0), (1, 1), (1, 1), (0, 0))
    np.testing.assert_array_equal(padded, np.pad(x, around, constant_values=image.zero_point))

    scale = np.abs(stem.filter).max(axis=(1, 2, 3)) / 127.0
    scale = np.maximum(scale, np.abs(stem.bias) / (image.scale * 2.0**30))
    weights = np.rint(stem.filter / scale[:, None, None, None])
    bias = np.rint(stem.bias / (image.scale * scale))
    sums = np.einsum(
        "nhwijc,oijc->nhwo", windows(padded.astype(np.int64) - image.zero_point, 3, 2), weights
    )
    exact = (sums + bias) * image.scale * scale / wide.scale + wide.zero_point
    low, high = wide.zero_point, wide.zero_point + round(6 / wide.scale)
    exact = np.clip(exact, max(-128, low), min(127, high))
    assert np.abs(first - exact).max() <= 1
    assert len(np.unique(first)) > 100

    scale = np.abs(stem.depthwise).max(axis=(0, 1, 2)) / 127.0
    weights = np.rint(stem.depthwise / scale)[0]
    bias = np.rint(stem.bias / (wide.scale * scale))
    inputs = np.pad(first.astype(np.int64) - wide.zero_point, around)
    sums = np.einsum("nhwijc,ijc->nhwc", windows(inputs, 3, 1), weights)
    exact = (sums + bias) * wide.scale * scale / deep.scale + deep.zero_point
    assert np.abs(second - np.clip(exact, -128, 127)).max() <= 1

    bottom = np.pad(second, ((0, 0), (0, 1), (0, 0), (0, 0)), constant_values=-128)
    np.testing.assert_array_equal(pooled, windows(bottom, 2, 2).max(axis=(3, 4)))
    values = (pooled.astype(np.float64) - deep.zero_point) * deep.scale
    np.testing.assert_allclose(floats, values, rtol=1e-5, atol=1e-5)


def test_is_close_to_float(stem):
    """Within what each layer's steps and weights allow, on the images of the calibration."""
    (before,) = outputs(stem.flat, ["MAX_POOL_2D"], stem.images)
    (after,) = outputs(stem.int8, ["DEQUANTIZE"], stem.images)
    image, wide, deep = stem.ranges
    conv = np.abs(stem.filter).max(axis=(1, 2, 3)) / 254
    in_conv = image.scale / 2 * np.abs(stem.filter).sum(axis=(1, 2, 3)) + conv * 27 * 1.2
    in_conv += 1.5 * wide.scale
    depthwise = np.abs(stem.depthwise[0])
    in_deep = in_conv * depthwise.sum(axis=(0, 1)) + depthwise.max(axis=(0, 1)) / 254 * 9 * 6
    assert (np.abs(after - before) <= in_deep + 1.5 * deep.scale).all()
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.999


def test_ranges_are_what_images_span(stem):
    values = outputs(stem.flat, ["CONV_2D", "DEPTHWISE_CONV_2D"], stem.images)
    for range, seen in zip(stem.ranges, [stem.images, *values], strict=True):
        low, high = min(0, seen.min()), max(0, seen.max())
        assert range.scale == pytest.approx((high - low) / 255)
        assert range.scale * (-128 - range.zero_point) == pytest.approx(low, abs=range.scale)
    assert ranges_of(read(stem.int8)) == {"stem": stem.ranges}
    assert ranges_of(read(stem.flat)) == {}


def test_float_weights_are_gone_and_what_follows_is_as_before(stem):
    before, after = read(stem.flat), read(stem.int8)
    assert len(stem.int8) < len(stem.flat) + 1500
    data = b"".join(bytes(b.vector("data")) for b in after.root.tables("buffers"))
    assert stem.filter.tobytes() not in data
    assert stem.depthwise.tobytes() not in data
    names = [operator.name for operator in after.subgraphs[0].operators]
    assert names[0] == "QUANTIZE"
    assert names[-2:] == ["DEQUANTIZE", "SOFTMAX"]
    assert names[1:-2] == [operator.name for operator in before.subgraphs[0].operators][:-1]
    assert before.subgraphs[0].outputs == after.subgraphs[0].outputs
    assert quantize_weights(stem.int8) == stem.int8


def beginning(name, second_reader=False, weights=None):
    """A file that begins with this operator."""
    builder = ModelBuilder()
    x, y, z = (builder.activation((1, 4, 4, 2), "float32") for _ in range(3))
    if name == "CONV_2D":
        values = np.ones((2, 1, 1, 2), np.float32) if weights is None else weights
        inputs = [x, builder.constant(values), builder.constant(np.zeros(2, np.float32))]
        options = Table("Conv2DOptions", stride_h=1, stride_w=1)
    else:
        inputs, options = [x], None
    builder.operator(name, inputs, [y], options)
    builder.operator("ADD", [y, x if second_reader else y], [z], Table("AddOptions"))
    return builder.to_bytes([x], [z])


@pytest.mark.parametrize(
    "flat",
    [
        beginning("RELU"),
        beginning("MAX_POOL_2D"),
        beginning("CONV_2D", second_reader=True),
        beginning("CONV_2D", weights=np.full((2, 1, 1, 2), np.inf, np.float32)),
    ],
    ids=["no convolution", "a pool", "an input read twice", "weights that are not finite"],
)
def test_no_stem(flat):
    with pytest.raises(ConversionError, match="begins with a float convolution"):
        calibrate(flat, np.zeros((1, 4, 4, 2)))
    with pytest.raises(ConversionError, match="0 in all, got 2"):
        quantize_layers(flat, {"stem": [Range(1.0, 0)] * 2})


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (np.zeros((0, 4, 4, 2)), "got 1 and 0 of shape"),
        (np.zeros((3, 4, 4, 1)), r"shape \[4, 4, 2\] to calibrate, got 1 and 3"),
        (np.full((1, 4, 4, 2), np.nan), "finite images"),
    ],
)
def test_images_that_do_not_fit(images, told):
    with pytest.raises(ConversionError, match=told):
        convert_file(beginning("CONV_2D"), **STEM, calibration_images=images)


def test_images_of_one_value():
    """Nothing is divided by 0."""
    images = np.zeros((2, 4, 4, 2))
    flat = convert_file(beginning("CONV_2D"), **STEM, calibration_images=images)
    assert not Interpreter(flat, runtime="litert").predict(np.zeros((1, 4, 4, 2), "f4")).any()


def test_is_verified(rng):
    pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")
    from keras_sparsebnn import models
    from keras_sparsebnn._keras import keras
    from keras_sparsebnn.converters import VerificationError, convert_keras_model, verify

    keras.utils.set_random_seed(3)
    model = models.small((8, 8, 1), 10, widths=(16, 32), codewords=16)
    images = rng.uniform(-1, 1, (24, 8, 8, 1)).astype(np.float32)
    options = {"int8_layers": ["stem", "classifier"], "calibration_images": images}
    flat = convert_keras_model(model, "subbit", weights="int8", **options)
    report = verify(model, flat, images)
    assert "delegate(sub-bit file)" in report.compared
    assert report.int8_weights.max_abs_difference > 0

    file = read(convert_file(convert_keras_model(model), **options))
    assert verify(model, file.flat, images).int8_weights.max_abs_difference > 0
    filter = next(t for t in file.subgraphs[0].tensors if t.dtype == "INT8" and file.data(t))
    values = np.array(file.constant(filter, "INT8"))
    values.flat[3] += 1
    file.root.tables("buffers")[filter.buffer]["data"] = values.tobytes()
    with pytest.raises(VerificationError, match="its weights or float layers rounded"):
        verify(model, file.to_bytes(), images)


class Tail:
    """A file: pool, 1x1 convolution with ReLU, mean, two fully connected layers."""

    def __init__(self, rng):
        self.filter = rng.normal(size=(7, 1, 1, 5)).astype(np.float32)
        self.bias = rng.normal(size=7).astype(np.float32)
        self.dense = rng.normal(size=(6, 7)).astype(np.float32)
        self.last, self.shift = rng.normal(size=(3, 6)), rng.normal(size=3)
        self.images = rng.uniform(-1, 1.2, (40, 6, 4, 5)).astype(np.float32)
        builder = ModelBuilder()
        shapes = ((1, 6, 4, 5), (1, 3, 2, 5), (1, 3, 2, 7), (1, 7), (1, 6), (1, 3))
        x, pooled, wide, mean, hidden, y = (builder.activation(s, "float32") for s in shapes)
        pool = Table(
            "Pool2DOptions",
            padding=SAME,
            stride_h=2,
            stride_w=2,
            filter_height=2,
            filter_width=2,
        )
        builder.operator("AVERAGE_POOL_2D", [x], [pooled], pool)
        weights = [builder.constant(self.filter), builder.constant(self.bias)]
        options = Table("Conv2DOptions", stride_h=1, stride_w=1, fused_activation_function=RELU)
        builder.operator("CONV_2D", [pooled, *weights], [wide], options)
        axes = builder.constant(np.array([1, 2], np.int32))
        builder.operator("MEAN", [wide, axes], [mean], Table("ReducerOptions"))
        dense = [mean, builder.constant(self.dense), -1]  # without a bias
        builder.operator("FULLY_CONNECTED", dense, [hidden], Table("FullyConnectedOptions"))
        last = [builder.constant(np.asarray(v, np.float32)) for v in (self.last, self.shift)]
        builder.operator(
            "FULLY_CONNECTED", [hidden, *last], [y], Table("FullyConnectedOptions")
        )
        self.flat = builder.to_bytes([x], [y])
        self.ranges = calibrate(self.flat, self.images, ["shortcuts", "classifier"])
        self.int8 = quantize_layers(self.flat, self.ranges)


@pytest.fixture(scope="module")
def tail():
    return Tail(np.random.default_rng(3))


def nth(model, name, n, images, runtime):
    """Integers, or floats, of the n-th operator of that name."""
    file = read(model)
    (graph,) = file.subgraphs
    graph.table["outputs"] = [[o.outputs[0] for o in graph.operators if o.name == name][n]]
    return Interpreter(file.to_bytes(), runtime=runtime).predict(images)


@pytest.mark.parametrize("runtime", ["litert", "lce"])
def test_shortcuts_and_classifiers_compute_the_equation(tail, runtime):
    """Independently, in 64-bit NumPy; a fully connected layer has one scale for all outputs."""
    source, made = tail.ranges["shortcuts"]
    pooled = nth(tail.int8, "AVERAGE_POOL_2D", 0, tail.images, runtime)
    x = nth(tail.int8, "QUANTIZE", 0, tail.images, runtime)
    expected = np.clip(np.rint(pooled / source.scale) + source.zero_point, -128, 127)
    assert np.abs(x - expected).max() <= 1
    assert (x == expected).mean() > 0.99
    scale = np.abs(tail.filter).max(axis=(1, 2, 3)) / 127.0
    weights = np.rint(tail.filter[:, 0, 0] / scale[:, None])
    sums = (x.astype(np.int64) - source.zero_point) @ weights.T
    sums = sums + np.rint(tail.bias / (source.scale * scale))
    exact = np.maximum(sums * source.scale * scale / made.scale, 0) + made.zero_point
    got = nth(tail.int8, "CONV_2D", 0, tail.images, runtime)
    assert np.abs(got - np.clip(exact, -128, 127)).max() <= 1
    assert len(np.unique(got)) > 50

    ends = iter(tail.ranges["classifier"])
    for n, (weights, bias) in enumerate(((tail.dense, 0), (tail.last, tail.shift))):
        source, made = next(ends), next(ends)
        x = nth(tail.int8, "QUANTIZE", 1 + n, tail.images, runtime).astype(np.int64)
        scale = np.abs(weights).max() / 127.0
        sums = (x - source.zero_point) @ np.rint(weights / scale).T
        sums = sums + np.rint(bias / (source.scale * scale))
        exact = sums * source.scale * scale / made.scale + made.zero_point
        got = nth(tail.int8, "FULLY_CONNECTED", n, tail.images, runtime)
        assert np.abs(got - np.clip(exact, -128, 127)).max() <= 1
        assert len(np.unique(got)) > 50


def test_each_is_by_itself(tail):
    """Floats lie between, and what was not asked for stays in float."""
    one = ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    for layers, expected in (
        (["shortcuts"], ["QUANTIZE", "CONV_2D", "DEQUANTIZE", "MEAN", *2 * one[1:2]]),
        (["classifier"], ["CONV_2D", "MEAN", *one, *one]),
    ):
        ranges = {kind: tail.ranges[kind] for kind in layers}
        file = read(quantize_layers(tail.flat, ranges))
        names = [operator.name for operator in file.subgraphs[0].operators]
        assert names == ["AVERAGE_POOL_2D", *expected]
        assert ranges_of(file) == ranges
        assert file.subgraphs[0].outputs == read(tail.flat).subgraphs[0].outputs
    assert ranges_of(read(tail.int8)) == tail.ranges


def test_a_model_without_such_layers(tail):
    flat = beginning("CONV_2D")
    images = np.zeros((1, 4, 4, 2))
    for layers, told in (
        (["shortcuts"], "float convolutions behind the stem, got another model. Leave out 'sh"),
        (["stem", "classifier"], "float fully connected layers, got another model. Leave out"),
    ):
        with pytest.raises(ConversionError, match=told):
            convert_file(flat, int8_layers=layers, calibration_images=images)
    with pytest.raises(ConversionError, match="model that begins with a float convolution"):
        convert_file(tail.flat, **STEM, calibration_images=tail.images)
    with pytest.raises(
        ConversionError, match="layer of the model's classifier, 4 in all, got 1"
    ):
        quantize_layers(tail.flat, {"classifier": [Range(1.0, 0)]})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"int8_layers": ["stem"]},
            "Expected `calibration_images` with `int8_layers`, got none",
        ),
        (
            {"calibration_images": np.zeros(3)},
            "Expected `int8_layers` with `calibration_images`",
        ),
        (
            {"int8_layers": ["head"]},
            r"some of 'stem', 'shortcuts', 'classifier', got \['head'\]",
        ),
        ({"int8_layers": "stem"}, "some of 'stem', 'shortcuts', 'classifier', got 'stem'"),
    ],
)
def test_options_that_do_not_fit(options, told):
    with pytest.raises(ConversionError, match=told):
        convert_file(beginning("CONV_2D"), **options)
