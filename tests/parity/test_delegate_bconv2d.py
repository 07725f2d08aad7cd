"""LceBconv2d through the delegate = LCE's interpreter, for any geometry and every kernel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

lce = pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from larq_compute_engine.tflite.python.interpreter import Interpreter  # noqa: E402

SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)


def words(channels: int) -> int:
    return -(-channels // 32)


@dataclass(frozen=True)
class Layer:
    """One convolution and its random numbers.

    `stray_bits`: the words of filter and input are random to their ends, past channels_in.
    """

    batch: int
    height: int
    width: int
    channels_in: int
    channels_out: int
    groups: int
    filter: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: int
    pad_values: int
    activation: int
    output: str
    codewords: int | None
    seed: int
    stray_bits: bool = False

    def extent(self, axis: int) -> int:
        return (self.filter[axis] - 1) * self.dilations[axis] + 1

    @property
    def pads_with_zero(self) -> bool:
        return self.padding == SAME and self.pad_values == 0

    @property
    def reference_in_lce(self) -> bool:
        """Whether LCE's optimised kernel refuses the layer, or is wrong.

        It refuses groups, and zero padding but for plain floats. Its correction for zero
        padding is left out where a filter sticks out of an image on two opposite sides.
        """
        small = self.height < self.extent(0) or self.width < self.extent(1)
        plain_float = self.output == "float32" and self.activation == NONE
        return self.groups > 1 or (self.pads_with_zero and (small or not plain_float))

    @property
    def valid(self) -> bool:
        fits = self.extent(0) <= self.height and self.extent(1) <= self.width
        half_popcount = self.pads_with_zero and self.reference_in_lce
        return (self.padding == SAME or fits) and not (half_popcount and self.channels_in % 2)

    def options(self) -> dict[str, int]:
        return {
            "channels_in": self.channels_in,
            "dilation_height_factor": self.dilations[0],
            "dilation_width_factor": self.dilations[1],
            "fused_activation_function": self.activation,
            "pad_values": self.pad_values,
            "padding": self.padding,
            "stride_height": self.strides[0],
            "stride_width": self.strides[1],
        }

    def filter_bits(self, rng: np.random.Generator) -> np.ndarray:
        shape = (self.channels_out, *self.filter, self.channels_in // self.groups)
        if self.codewords is None:
            return rng.integers(0, 2, shape, np.uint8)
        codebook = rng.integers(0, 2, (self.codewords, *self.filter), np.uint8)
        chosen = rng.integers(0, self.codewords, (shape[0], shape[3]))
        return np.moveaxis(codebook[chosen], 1, 3)

    def output_shape(self) -> list[int]:
        sides = []
        for axis, size in enumerate((self.height, self.width)):
            covered = size if self.padding == SAME else size - self.extent(axis) + 1
            sides.append(-(-covered // self.strides[axis]))
        channels = words(self.channels_out) if self.output == "int32" else self.channels_out
        return [self.batch, *sides, channels]

    def make(self, op_model) -> tuple[bytes, np.ndarray]:
        """The model and its input, bit-packed."""
        rng = np.random.default_rng(self.seed)
        depth = self.filter[0] * self.filter[1] * self.channels_in // self.groups
        model = op_model()
        x = model.activation(
            (self.batch, self.height, self.width, words(self.channels_in)), "int32"
        )
        scale = float(rng.uniform(0.1, 3)) if self.output == "int8" else None
        y = model.activation(self.output_shape(), self.output, scale, int(rng.integers(-9, 9)))
        multiplier = rng.normal(size=self.channels_out) * rng.choice([1e-3, 1, 30])
        bias = rng.normal(size=self.channels_out) * depth
        if self.pads_with_zero and self.reference_in_lce:
            # LCE's reference rounds elsewhere than its optimised kernel, whose order of
            # operations the delegate has: integers, which are not rounded.
            multiplier, bias = np.round(multiplier), np.round(bias)
        multiplier[:: 1 + self.seed % 7] *= -1
        thresholds = rng.integers(-1, depth + 2, self.channels_out, np.int32)
        filter_words = self.packed(self.filter_bits(rng), rng)
        constants = [
            model.constant(filter_words),
            *(model.constant(v.astype(np.float32)) for v in (multiplier, bias)),
            model.constant(thresholds) if self.output == "int32" else -1,
        ]
        model.operator("LceBconv2d", [x, *constants], [y], self.options())
        image = (self.batch, self.height, self.width, self.channels_in)
        return model.to_bytes([x], [y]), self.packed(rng.integers(0, 2, image, np.uint8), rng)

    def packed(self, bits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.stray_bits:
            missing = -bits.shape[-1] % 32
            stray = rng.integers(0, 2, (*bits.shape[:-1], missing), np.uint8)
            bits = np.concatenate([bits, stray], axis=-1)
        return pack(bits)


def pack(bits: np.ndarray) -> np.ndarray:
    """0/1 [..., C] -> int32 [..., ceil(C / 32)]."""
    missing = -bits.shape[-1] % 32
    padded = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, missing)])
    return np.ascontiguousarray(np.packbits(padded, axis=-1, bitorder="little")).view("<i4")


def assert_same(ours: np.ndarray, theirs: np.ndarray, what: object) -> None:
    """Integers identical; floats at most one unit in the last place apart."""
    assert ours.shape == theirs.shape, what
    assert ours.dtype == theirs.dtype, what
    if theirs.dtype == np.float32:
        np.testing.assert_array_max_ulp(ours, theirs, maxulp=1)
    else:
        np.testing.assert_array_equal(ours, theirs, err_msg=str(what))


def kernels(runner) -> list[dict[str, str]]:
    pinned = [{"kernel": k, "isa": i} for k in ("xnor", "codebook") for i in runner.isas]
    return [
        {"kernel": "reference", "isa": "scalar"},
        *pinned,
        {"kernel": "auto", "isa": "auto"},
    ]


@st.composite
def layers(draw):
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    per_group = draw(st.sampled_from([32, 64])) if groups > 1 else draw(st.integers(1, 200))
    pair = st.tuples
    square = draw(st.booleans())
    size = st.sampled_from([3, 3, 1, 2, 4, 5])
    filter_size = draw(size)
    layer = Layer(
        batch=draw(st.sampled_from([1, 1, 2, 3])),
        height=draw(st.integers(1, 20)),
        width=draw(st.integers(1, 20)),
        channels_in=groups * per_group,
        channels_out=groups * draw(st.integers(1, 200 // groups)),
        groups=groups,
        filter=(filter_size, filter_size if square else draw(size)),
        strides=draw(pair(st.integers(1, 3), st.integers(1, 3))),
        dilations=draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 3), (3, 1)])),
        padding=draw(st.sampled_from([SAME, VALID])),
        pad_values=draw(st.sampled_from([0, 1])),
        activation=draw(st.sampled_from([NONE, NONE, RELU, RELU_N1_TO_1, RELU6])),
        output=draw(st.sampled_from(["float32", "int8", "int32"])),
        codewords=draw(st.sampled_from([None, 2, 8, 32, 128])),
        seed=draw(st.integers(0, 2**32 - 1)),
        stray_bits=draw(st.booleans()),
    )
    return layer


def check(layer: Layer, runner, op_model) -> None:
    flat, x = layer.make(op_model)
    reference = Interpreter(flat, use_reference_bconv=layer.reference_in_lce)
    (theirs,) = reference.interpreter.predict([x])
    for options in kernels(runner):
        (ours,) = runner.run(flat, x, **options)
        assert_same(ours, theirs, options)


@settings(max_examples=150, deadline=None)
@given(layer=layers().filter(lambda layer: layer.valid))
def test_any_layer(runner, op_model, layer):
    check(layer, runner, op_model)


@settings(max_examples=60, deadline=None)
@given(channels_in=st.integers(1, 64), layer=layers())
def test_bits_past_channels_in_count_as_in_lce(runner, op_model, channels_in, layer):
    layer = replace(layer, channels_in=channels_in, groups=1, stray_bits=True)
    assume(layer.valid)
    check(layer, runner, op_model)


@pytest.mark.parametrize("channels_in", [2, 6, 34])
@pytest.mark.parametrize("side", [1, 2, 7])
def test_bits_past_channels_in_beside_zeros_on_small_maps(runner, op_model, side, channels_in):
    """So many more bits are summed than counted that sums are clamped: after the padding."""
    layer = plain_layer(
        height=side,
        width=2,
        channels_in=channels_in,
        channels_out=16,
        pad_values=0,
        stray_bits=True,
    )
    assert layer.reference_in_lce
    check(layer, runner, op_model)


@pytest.mark.parametrize("source", ["quantize", "bconv2d", "max pool"])
@pytest.mark.parametrize("channels_in", [1, 7, 31, 32])
def test_input_of_more_channels_than_channels_in(runner, op_model, source, channels_in):
    """What is known of the input's bits depends on the op that makes them."""
    layer = plain_layer(channels_in=channels_in, channels_out=40, codewords=None)
    rng = np.random.default_rng(channels_in)
    model = op_model()
    image = model.activation((1, 14, 14, 32), "float32")
    bits = model.activation((1, 14, 14, 1), "int32")
    model.operator("LceQuantize", [image], [bits])
    if source != "quantize":
        more = model.activation((1, 14, 14, 1), "int32")
    if source == "max pool":
        window = {"filter_height": 1, "filter_width": 1, "stride_height": 1, "stride_width": 1}
        model.operator("LceBMaxPool2d", [bits], [more], {**window, "padding": VALID})
    if source == "bconv2d":
        before = plain_layer(channels_in=32, channels_out=32)
        first = model.constant(pack(before.filter_bits(rng)))
        thresholds = model.constant(rng.integers(120, 170, 32, np.int32))
        model.operator(
            "LceBconv2d", [bits, first, -1, -1, thresholds], [more], before.options()
        )
    output = model.activation((1, 14, 14, 40), "float32")
    constants = [
        model.constant(replace(layer, stray_bits=True).packed(layer.filter_bits(rng), rng)),
        model.constant(rng.normal(size=40).astype(np.float32)),
        model.constant(rng.normal(size=40).astype(np.float32)),
    ]
    inputs = [bits if source == "quantize" else more, *constants, -1]
    model.operator("LceBconv2d", inputs, [output], layer.options())
    flat, x = model.to_bytes([image], [output]), rng.normal(size=(1, 14, 14, 32))
    (theirs,) = Interpreter(flat).interpreter.predict([x.astype(np.float32)])
    for options in kernels(runner):
        (ours,) = runner.run(flat, x.astype(np.float32), **options)
        assert_same(ours, theirs, options)


def plain_layer(**changed) -> Layer:
    given = {
        "batch": 1,
        "height": 14,
        "width": 14,
        "channels_in": 64,
        "channels_out": 64,
        "groups": 1,
        "filter": (3, 3),
        "strides": (1, 1),
        "dilations": (1, 1),
        "padding": SAME,
        "pad_values": 1,
        "activation": NONE,
        "output": "float32",
        "codewords": 32,
        "seed": 7,
    }
    return Layer(**{**given, **changed})


@pytest.mark.parametrize("output", ["float32", "int8", "int32"])
@pytest.mark.parametrize("size", [7, 28, 56])
@pytest.mark.parametrize("stride", [1, 2])
def test_layers_of_real_networks(runner, op_model, size, stride, output):
    channels = 64 * 56 // size
    check(
        plain_layer(
            height=size,
            width=size,
            channels_in=channels,
            channels_out=channels,
            strides=(stride, stride),
            output=output,
        ),
        runner,
        op_model,
    )


@pytest.mark.parametrize("kernel", ["xnor", "codebook", "reference"])
def test_pinned_kernel_is_the_one_that_runs(runner, op_model, kernel):
    flat, x = plain_layer().make(op_model)
    for isa in ["scalar"] if kernel == "reference" else runner.isas:
        delegate = runner.load(kernel=kernel, isa=isa)
        interpreter = runner.interpreter(flat, delegate)
        runner.run_on(interpreter, x)
        (partition,) = runner.profile(delegate)["partitions"]
        (node,) = partition["nodes"]
        assert node["kernel"].startswith(kernel)
        assert kernel == "reference" or isa in node["kernel"]


@pytest.mark.parametrize("output", ["float32", "int8", "int32"])
@pytest.mark.parametrize("kernel", ["xnor", "codebook", "reference"])
def test_threads_do_not_change_a_bit(runner, op_model, kernel, output):
    flat, x = plain_layer(
        batch=2, output=output, pad_values=0 if output == "float32" else 1
    ).make(op_model)
    one, *others = (
        runner.run(flat, x, kernel=kernel, num_threads=threads)[0] for threads in (1, 2, 3)
    )
    for other in others:
        assert other.tobytes() == one.tobytes()
