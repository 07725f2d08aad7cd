"""The delegate's other ops = LCE's interpreter, bit for bit; and the sub-bit convolution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

lce = pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from larq_compute_engine.tflite.python.interpreter import Interpreter  # noqa: E402

SAME, VALID = 0, 1


def words(channels: int) -> int:
    return -(-channels // 32)


def pack(bits: np.ndarray) -> np.ndarray:
    """0/1 [..., C] -> int32 [..., ceil(C / 32)]."""
    missing = -bits.shape[-1] % 32
    padded = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, missing)])
    packed = np.packbits(padded, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<i4")


def lce_outputs(flat: bytes, *inputs: np.ndarray) -> list[np.ndarray]:
    return Interpreter(flat).interpreter.predict(list(inputs))


def assert_equals_lce(runner, flat: bytes, x: np.ndarray) -> None:
    (theirs,) = lce_outputs(flat, x)
    for isa in runner.isas:
        (ours,) = runner.run(flat, x, isa=isa)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs, err_msg=isa)


# Neither -0.0 nor a NaN is below zero, nor is a denormal: LCE flushes it to zero.
_SPECIAL = np.array(
    [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45, 1, -1], np.float32
)


def values_of(dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if dtype == "float32":
        values = rng.normal(size=shape).astype(np.float32)
        special = rng.random(shape) < 0.3
        return np.where(special, rng.choice(_SPECIAL, shape), values)
    if dtype == "int8":
        return rng.integers(-128, 128, shape, np.int8)
    return rng.integers(0, 2, shape).astype(bool)


@settings(max_examples=150, deadline=None)
@given(
    dtype=st.sampled_from(["float32", "int8", "bool"]),
    leading=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    channels=st.integers(1, 300),
    zero_point=st.sampled_from([0, -128, -127, 127, 5, -3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_quantize(runner, op_model, dtype, leading, channels, zero_point, seed):
    rng = np.random.default_rng(seed)
    model = op_model()
    scale = 0.5 if dtype == "int8" else None
    x = model.activation([*leading, channels], dtype, scale, zero_point)
    y = model.activation([*leading, words(channels)], "int32")
    model.operator("LceQuantize", [x], [y])
    values = values_of(dtype, (*leading, channels), rng)
    assert_equals_lce(runner, model.to_bytes([x], [y]), values)


@settings(max_examples=100, deadline=None)
@given(
    dtype=st.sampled_from(["float32", "int8", "bool"]),
    leading=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    channels=st.integers(1, 300),
    scale=st.sampled_from([1.0, 0.3, 0.007, 2.0, 5.0]),
    zero_point=st.integers(-128, 127),
    seed=st.integers(0, 2**32 - 1),
)
def test_dequantize(runner, op_model, dtype, leading, channels, scale, zero_point, seed):
    rng = np.random.default_rng(seed)
    model = op_model()
    x = model.activation([*leading, words(channels)], "int32")
    y = model.activation([*leading, channels], dtype, scale, zero_point)
    model.operator("LceDequantize", [x], [y])
    bits = pack(rng.integers(0, 2, (*leading, channels), np.uint8))
    assert_equals_lce(runner, model.to_bytes([x], [y]), bits)


@settings(max_examples=100, deadline=None)
@given(
    batch=st.integers(1, 3),
    sides=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    channels=st.integers(1, 200),
    window=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    strides=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    padding=st.sampled_from([SAME, VALID]),
    seed=st.integers(0, 2**32 - 1),
)
def test_max_pool(runner, op_model, batch, sides, channels, window, strides, padding, seed):
    if padding == VALID and any(w > s for w, s in zip(window, sides, strict=True)):
        padding = SAME
    rng = np.random.default_rng(seed)
    out = [
        math.ceil((side if padding == SAME else side - size + 1) / stride)
        for side, size, stride in zip(sides, window, strides, strict=True)
    ]
    model = op_model()
    x = model.activation([batch, *sides, words(channels)], "int32")
    y = model.activation([batch, *out, words(channels)], "int32")
    options = {
        "filter_height": window[0],
        "filter_width": window[1],
        "stride_height": strides[0],
        "stride_width": strides[1],
        "padding": padding,
    }
    model.operator("LceBMaxPool2d", [x], [y], options)
    bits = pack((rng.random((batch, *sides, channels)) < 0.7).astype(np.uint8))
    assert_equals_lce(runner, model.to_bytes([x], [y]), bits)


def pack_indices(indices: np.ndarray, index_bits: int) -> np.ndarray:
    """Index i in bits i*b .. i*b + b-1 of the stream, bit t in bit t % 8 of byte t / 8."""
    bits = indices.ravel()[:, None] >> np.arange(index_bits) & 1
    return np.packbits(bits.ravel().astype(np.uint8), bitorder="little")


@settings(max_examples=80, deadline=None)
@given(
    index_bits=st.integers(1, 9),
    spare=st.integers(0, 3),
    sides=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    groups=st.sampled_from([1, 1, 2]),
    channels_in=st.integers(1, 130),
    channels_out=st.integers(1, 70),
    stride=st.integers(1, 2),
    pad_values=st.integers(0, 1),
    activation=st.sampled_from([0, 1]),
    output=st.sampled_from(["float32", "int8", "int32"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_sub_bit_convolution_equals_lce_on_the_expanded_filter(
    runner,
    op_model,
    index_bits,
    spare,
    sides,
    groups,
    channels_in,
    channels_out,
    stride,
    pad_values,
    activation,
    output,
    seed,
):
    rng = np.random.default_rng(seed)
    if groups > 1:
        channels_in, channels_out = 64 * groups, groups * channels_out
    channels_in += channels_in % 2  # LCE's reference pads with zeros for even channels only
    count = max(1, 2**index_bits - spare)
    codebook = rng.permutation(512)[:count].astype(np.uint16)
    indices = rng.integers(0, count, (channels_out, channels_in // groups))
    taps = codebook[indices][..., None] >> np.arange(9) & 1  # [Cout, Cin / groups, 9]
    bits = np.moveaxis(taps, 1, 2).reshape(channels_out, 3, 3, -1).astype(np.uint8)
    out = [-(-side // stride) for side in sides]
    shape = [2, *out, words(channels_out) if output == "int32" else channels_out]
    depth = 9 * channels_in // groups
    # Integers: LCE's two kernels for padding with zeros round in different places.
    multiplier = rng.integers(-3, 4, channels_out).astype(np.float32)
    bias = rng.integers(-depth, depth + 1, channels_out).astype(np.float32)
    thresholds = rng.integers(-1, depth + 2, channels_out, np.int32)
    options = {
        "channels_in": channels_in,
        "dilation_height_factor": 1,
        "dilation_width_factor": 1,
        "fused_activation_function": activation,
        "pad_values": pad_values,
        "padding": SAME,
        "stride_height": stride,
        "stride_width": stride,
    }
    files = []
    for stored in ("sub-bit", "bit"):
        model = op_model()
        x = model.activation([2, *sides, words(channels_in)], "int32")
        y = model.activation(shape, output, 4.0 if output == "int8" else None, 3)
        values = [model.constant(multiplier), model.constant(bias)]
        values.append(model.constant(thresholds) if output == "int32" else -1)
        if stored == "bit":
            model.operator("LceBconv2d", [x, model.constant(pack(bits)), *values], [y], options)
        else:
            streams = [
                model.constant(pack_indices(indices, index_bits)),
                model.constant(codebook),
            ]
            own = {
                "format_version": 1,
                "index_bits": index_bits,
                "channels_out": channels_out,
                "groups": groups,
            }
            model.operator("SparsebnnBconv2d", [x, *streams, *values], [y], {**options, **own})
        files.append(model.to_bytes([x], [y]))
    image = pack(rng.integers(0, 2, (2, *sides, channels_in), np.uint8))
    reference = Interpreter(files[1], use_reference_bconv=True)
    (theirs,) = reference.interpreter.predict([image])
    for kernel in ("reference", "xnor", "codebook", "auto"):
        (ours,) = runner.run(files[0], image, kernel=kernel)
        np.testing.assert_array_equal(ours, theirs, err_msg=kernel)
