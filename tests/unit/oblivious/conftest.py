"""Small LCE files that can be private, with thresholds of all kinds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from keras_sparsebnn.oblivious import Program, read_program
from keras_sparsebnn.tflite_file import ModelBuilder

OPTIONS = {
    **{"dilation_height_factor": 1, "dilation_width_factor": 1, "fused_activation_function": 0},
    **{"pad_values": 1, "padding": 0, "stride_height": 1, "stride_width": 1},
}
POOL = {"filter_height": 2, "filter_width": 2, "stride_height": 2, "stride_width": 2}


def words(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Packed random bits of `[Cout, Kh, Kw, Cin]`."""
    bits = rng.integers(0, 2, (*shape[:-1], -(-shape[-1] // 32) * 32), np.uint8)
    bits[..., shape[-1] :] = 0
    return np.packbits(bits, axis=-1, bitorder="little").view("<i4")


def network(seed: int, classes: int = 5, colours: int = 1, **changed: int) -> bytes:
    """7x6 image -> 3 levels -> 3x3 to 9 -> pool -> 3x3, stride 2, to 35 -> scores."""
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    image = builder.activation([1, 7, 6, colours], "float32")
    levels = np.array([-0.5, 0.125, 0.5], np.float32)
    if colours == 1:
        differences = builder.activation([1, 7, 6, 3], "float32")
        builder.operator("SUB", [image, builder.constant(levels)], [differences])
    else:
        differences = image
    x = builder.activation([1, 7, 6, 1], "int32")
    builder.operator("LceQuantize", [differences], [x])
    channels = 3 if colours == 1 else colours
    for filters, stride, shape in ((9, 1, [1, 7, 6]), (35, 2, [1, 2, 2])):
        taps = 9 * channels
        thresholds = rng.normal(taps / 2, taps**0.5 / 3, filters).astype(np.int32)
        thresholds[:4] = [-7, -1, taps, taps - 1]
        bits = builder.activation([*shape, -(-filters // 32)], "int32")
        inputs = [x, builder.constant(words(rng, filters, 3, 3, channels)), -1, -1]
        options = {
            **OPTIONS,
            **{"channels_in": channels, "stride_height": stride, "stride_width": stride},
            **changed,
        }
        builder.operator("LceBconv2d", [*inputs, builder.constant(thresholds)], [bits], options)
        x, channels = bits, filters
        if stride == 1:
            x = builder.activation([1, 3, 3, 1], "int32")
            builder.operator("LceBMaxPool2d", [bits], [x], {**POOL, "padding": 1})
    scores = builder.activation([1, 1, 1, classes], "float32")
    bias = rng.normal(0, 1, classes).astype(np.float32)
    bias[1] = bias[0]  # with equal filters, a tie that the first class wins
    filters = words(rng, classes, 2, 2, channels)
    filters[1] = filters[0]
    after = [builder.constant(np.full(classes, 0.25, np.float32)), builder.constant(bias)]
    builder.operator(
        "LceBconv2d",
        [x, builder.constant(filters), *after, -1],
        [scores],
        {**OPTIONS, "channels_in": channels, "padding": 1, "pad_values": 0},
    )
    return builder.to_bytes([image], [scores])


def tiny(seed: int, *, pool: int = 4, padding: int = 1) -> bytes:
    """4x4 image -> 2 levels -> padded 3x3 to 32, one word of SPU's -> pool -> three scores.

    The pool's stride is 4, its window `pool`.
    """
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    image, differences, scores = (
        builder.activation([1, *shape], "float32")
        for shape in ((4, 4, 1), (4, 4, 2), (1, 1, 3))
    )
    x, bits, pooled = (builder.activation([1, side, side, 1], "int32") for side in (4, 4, 1))
    levels = builder.constant(np.array([-0.5, 0.5], np.float32))
    builder.operator("SUB", [image, levels], [differences])
    builder.operator("LceQuantize", [differences], [x])
    thresholds = builder.constant(rng.integers(4, 9, 32, np.int32))
    inputs = [x, builder.constant(words(rng, 32, 3, 3, 2)), -1, -1, thresholds]
    builder.operator("LceBconv2d", inputs, [bits], {**OPTIONS, "channels_in": 2})
    window = {**dict.fromkeys(POOL, 4), "padding": padding}
    window |= {"filter_height": pool, "filter_width": pool}
    builder.operator("LceBMaxPool2d", [bits], [pooled], window)
    multiplier, bias = np.ones(3, np.float32), rng.normal(0, 2, 3).astype(np.float32)
    inputs = [pooled, builder.constant(words(rng, 3, 1, 1, 32))]
    inputs += [builder.constant(multiplier), builder.constant(bias), -1]
    options = {**OPTIONS, "channels_in": 32, "padding": 1}
    builder.operator("LceBconv2d", inputs, [scores], options)
    return builder.to_bytes([image], [scores])


@pytest.fixture(scope="session")
def tiny_network() -> Callable[[int], bytes]:
    """See `tiny`."""
    return tiny


@pytest.fixture(scope="session")
def lce_network() -> Callable[..., bytes]:
    """See `network`."""
    return network


@pytest.fixture(scope="session")
def program() -> Program:
    return read_program(network(0))


@pytest.fixture
def images(rng) -> np.ndarray:
    """More than 64, some of them on a level."""
    return rng.choice(np.linspace(-1, 1, 17), (70, 7, 6, 1)).astype(np.float32)
