"""Int8 layers: the integers of the equation, in every interpreter, and only where they fit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from keras_sparsebnn.converters import ConversionError, convert_file
from keras_sparsebnn.converters.int8_layers import (
    Range,
    calibrate,
    layers_of,
    quantize_layers,
    ranges_of,
)
from keras_sparsebnn.converters.int8_weights import quantize_weights
from keras_sparsebnn.runtime import Interpreter
from keras_sparsebnn.tflite_file import ModelBuilder, Table, operator_code, read

SAME, RELU, RELU6 = 0, 1, 3
SHAPE = (1, 9, 8, 3)
STEM = {"int8_layers": ("stem",)}
POOL = Table(
    "Pool2DOptions", padding=SAME, stride_h=2, stride_w=2, filter_height=2, filter_width=2
)


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
        builder.operator("MAX_POOL_2D", [deep], [pooled], POOL)
        builder.operator("SOFTMAX", [pooled], [y], Table("SoftmaxOptions", beta=1.0))
        self.flat = builder.to_bytes([x], [y])
        found = calibrate(self.flat, self.images)
        (self.ranges,) = found.values()
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
    (made,) = layers_of(read(stem.flat))["stem"]
    assert ranges_of(read(stem.int8)) == {made: stem.ranges}
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


def beginning(name, second_reader=False, weights=None, batch=1):
    """A file that begins with this operator."""
    builder = ModelBuilder()
    x, y, z = (builder.activation((batch, 4, 4, 2), "float32") for _ in range(3))
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
        quantize_layers(flat, {2: [Range(1.0, 0)] * 2})


def test_a_file_of_large_batches_is_calibrated_by_them(rng):
    flat = beginning("CONV_2D", batch=32)
    images = rng.normal(size=(64, 4, 4, 2)).astype(np.float32)
    ((before, _),) = calibrate(flat, images).values()
    assert before == Range.spanning(float(images.min()), float(images.max()))
    with pytest.raises(ConversionError, match=r"a multiple of 32 images .* got 63"):
        calibrate(flat, images[:63])


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (np.zeros((0, 4, 4, 2)), "got 0 of shape"),
        (np.zeros((3, 4, 4, 1)), r"shape \[4, 4, 2\] to calibrate, got 3 of"),
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
        builder.operator("AVERAGE_POOL_2D", [x], [pooled], POOL)
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
    (source, made), *ends = tail.ranges.values()
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

    for n, (weights, bias) in enumerate(((tail.dense, 0), (tail.last, tail.shift))):
        source, made = ends[n]
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
        made = layers_of(read(tail.flat))
        ranges = {tensor: tail.ranges[tensor] for kind in layers for tensor in made[kind]}
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
    *_, last = tail.ranges
    with pytest.raises(ConversionError, match=f"that makes tensor {last}, 2 in all, got 1"):
        quantize_layers(tail.flat, {last: [Range(1.0, 0)]})


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


def test_the_order_of_ranges_does_not_matter(tail):
    for ranges in itertools.permutations(tail.ranges.items()):
        assert quantize_layers(tail.flat, dict(ranges)) == tail.int8
    assert quantize_layers(tail.flat, ranges_of(read(tail.int8))) == tail.int8


def test_one_after_the_other(tail):
    """What is in int8 already is told from what is added, of the same kind, too."""
    first, *_, last = tail.ranges
    before = quantize_layers(tail.flat, {first: tail.ranges[first], last: tail.ranges[last]})
    added = {t: own for t, own in tail.ranges.items() if t not in ranges_of(read(before))}
    assert len(added) == 1
    after = quantize_layers(before, added)
    assert ranges_of(read(after)) == tail.ranges


def changed(flat, change):
    """The file after `change(file, operators)`."""
    file = read(flat)
    change(file, file.subgraphs[0].operators)
    return file.to_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda file, ops: ops[-1].table.__setitem__("inputs", ()),
        lambda file, ops: ops[-1].table.__setitem__("outputs", ()),
        lambda file, ops: bias_of(file, ops).__setitem__("shape", (1, 3)),
        lambda file, ops: bias_of(file, ops).__setitem__("shape", (2,)),
        lambda file, ops: weights_of(file, ops).__setitem__(
            "sparsity", Table("SparsityParameters")
        ),
    ],
    ids=["nothing", "no output", "two axes", "too few", "sparse weights"],
)
def test_layers_that_do_not_fit_are_left(tail, change):
    """They neither end in an exception nor keep others from being quantized."""
    flat = changed(tail.flat, change)
    (made,) = layers_of(read(flat))["shortcuts"]
    assert len(layers_of(read(flat))["classifier"]) == 1
    file = read(quantize_layers(flat, {made: tail.ranges[made]}))
    assert ranges_of(file) == {made: tail.ranges[made]}


def weights_of(file, operators):
    return file.subgraphs[0].tensors[operators[-1].inputs[1]].table


def bias_of(file, operators):
    return file.subgraphs[0].tensors[operators[-1].inputs[2]].table


@pytest.mark.parametrize("name", ["MAX_POOL_2D", "PAD"])
def test_a_circle_has_an_end(name):
    """Of operators that read what they write, as only a damaged file has them."""
    builder = ModelBuilder()
    x, y = (builder.activation((1, 4, 4, 2), "float32") for _ in range(2))
    builder.operator(name, [x], [x])
    builder.operator("QUANTIZE", [x], [y])
    builder.operator(name, [y], [y])
    file = read(builder.to_bytes([x], [y]))
    assert layers_of(file) == {"stem": [], "shortcuts": [], "classifier": []}
    assert ranges_of(file) == {}


def test_activations_that_are_not_finite():
    flat = beginning("CONV_2D", weights=np.full((2, 1, 1, 2), 3e38, np.float32))
    with pytest.raises(ConversionError, match="finite activations"):
        calibrate(flat, np.full((1, 4, 4, 2), 10))
    assert Range.spanning(-5e-43, 1e-44) == Range(1.0, -128)


def heads(rng, seen=False):
    """Two layers with the same weights and bias; `seen`: the weights are an output, too."""
    builder = ModelBuilder()
    x, y, z = (builder.activation((1, 64), "float32") for _ in range(3))
    weights = builder.constant(rng.normal(size=(64, 64)).astype(np.float32))
    bias = builder.constant(rng.normal(size=64).astype(np.float32))
    for source, made in ((x, y), (y, z)):
        options = Table("FullyConnectedOptions")
        builder.operator("FULLY_CONNECTED", [source, weights, bias], [made], options)
    return builder.to_bytes([x], [z, weights] if seen else [z])


def test_shared_weights_are_no_floats_any_more(rng):
    flat = heads(rng)
    images = rng.uniform(-1, 1, (20, 64)).astype(np.float32)
    int8 = convert_file(flat, int8_layers=["classifier"], calibration_images=images)
    assert len(int8) < 0.7 * len(flat)
    dtypes = [t.dtype for t in read(int8).subgraphs[0].tensors if read(int8).data(t)]
    assert sorted(set(dtypes)) == ["INT32", "INT8"]
    before, after = (Interpreter(f, runtime="litert").predict(images) for f in (flat, int8))
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.999


def test_weights_that_are_an_output_stay(rng):
    flat = heads(rng, seen=True)
    images = rng.uniform(-1, 1, (20, 64)).astype(np.float32)
    int8 = convert_file(flat, int8_layers=["classifier"], calibration_images=images)
    (_, before), (_, after) = (
        Interpreter(f, runtime="litert").predict(images[:1]) for f in (flat, int8)
    )
    np.testing.assert_array_equal(before, after)


def test_versions_never_fall(tail):
    def newer(file, operators):
        code = operator_code(file.root, "FULLY_CONNECTED", 6)
        operators[-1].table["opcode_index"] = code

    file = read(quantize_layers(changed(tail.flat, newer), tail.ranges))
    codes = file.root.tables("operator_codes")
    versions = [
        codes[o.table.integer("opcode_index")].integer("version")
        for o in file.subgraphs[0].operators
        if o.name == "FULLY_CONNECTED"
    ]
    assert versions == [4, 6]
