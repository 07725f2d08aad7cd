"""Float convolutions of few channels, run by the delegate = XNNPACK's, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_sparsebnn.converters.int8_weights import quantize_weights
from tests.stem_model import (
    RELU,
    RELU6,
    RELU_N1_TO_1,
    SAME,
    STEMS,
    VALID,
    Stem,
    same_as_xnnpack,
    values,
)

DEPTHWISE = (1, 30, 29, 8), (64, 3, 3), 2
"""Of QuickNet, on a smaller map."""


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_random_geometry(runner, vector_isas, data):
    """Any filter, stride, padding and activation; on every instruction set but plain ones."""
    draw = data.draw
    padding = draw(st.sampled_from([SAME, VALID]))
    kernel = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    # At least 8 outputs.
    height, width = ((n - 1 if padding == VALID else 0) + 4 * 3 for n in kernel)
    batch, channels = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    shape = batch, height + draw(st.integers(0, 9)), width + draw(st.integers(0, 20)), channels
    stem = Stem(
        shape,
        (draw(st.integers(8, 70)), *kernel),
        stride=tuple(draw(st.integers(1, min(4, n))) for n in kernel),
        padding=padding,
        activation=draw(st.sampled_from([0, RELU, RELU_N1_TO_1, RELU6])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )
    options = {
        "isa": draw(st.sampled_from(vector_isas)),
        "num_threads": draw(st.integers(1, 4)),
    }
    same_as_xnnpack(runner, stem.bytes(), values(shape), **options)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_random_depthwise(runner, vector_isas, data):
    """Likewise; each of up to 40 channels has 8 outputs or more."""
    draw = data.draw
    padding = draw(st.sampled_from([SAME, VALID]))
    kernel = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    height, width = ((n - 1 if padding == VALID else 0) + 4 * 3 for n in kernel)
    channels = draw(st.one_of(st.integers(2, 9), st.integers(10, 40)))
    shape = (
        *(draw(st.integers(1, 3)), height + draw(st.integers(0, 9))),
        *(width + draw(st.integers(0, 20)), channels),
    )
    stem = Stem(
        shape,
        (channels * draw(st.integers(8, 40)), *kernel),
        stride=tuple(draw(st.integers(1, min(4, n))) for n in kernel),
        padding=padding,
        activation=draw(st.sampled_from([0, RELU, RELU_N1_TO_1, RELU6])),
        seed=draw(st.integers(0, 2**32 - 1)),
        pool=draw(st.sampled_from([None, (3, 2), (2, 2)])),
        depthwise=True,
    )
    flat = stem.bytes()
    if draw(st.booleans()):
        flat = quantize_weights(flat)
    options = {
        "isa": draw(st.sampled_from(vector_isas)),
        "num_threads": draw(st.integers(1, 4)),
    }
    same_as_xnnpack(runner, flat, values(shape), **options)


@pytest.mark.parametrize("name", STEMS)
def test_filters_in_8_bits(runner, name):
    """Of `--weights int8`: what XNNPACK makes of the same integers."""
    shape, filters, stride = STEMS[name]
    flat = Stem(shape, filters, stride=(stride, stride), pool=(3, 2)).bytes()
    smaller = quantize_weights(flat)
    assert smaller is not flat
    for isa in runner.isas:
        same_as_xnnpack(runner, smaller, values(shape), int(isa != "scalar"), isa=isa)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("name", STEMS)
def test_a_pool_behind_it(runner, name, threads):
    """Runs with the stem, row by row, and takes no memory of its own."""
    shape, filters, stride = STEMS[name]
    for isa in runner.isas:
        for pool in ((3, 2), (2, 2), (3, 1), (1, 2)):
            flat = Stem(shape, filters, stride=(stride, stride), pool=pool).bytes()
            claimed = int(isa != "scalar")
            same_as_xnnpack(runner, flat, values(shape), claimed, isa=isa, num_threads=threads)
    delegate = runner.load()
    interpreter = runner.interpreter(flat, delegate)
    interpreter.allocate_tensors()
    (partition,) = runner.profile(delegate)["partitions"]
    assert {n["op"] for n in partition["nodes"]} >= {"MAX_POOL_2D", "LceQuantize"}
    assert partition["arena_bytes"] == 0 or not has_stem(runner)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0, 3e38])
@pytest.mark.parametrize("name", STEMS)
def test_values_that_arithmetic_stumbles_over(runner, name, value):
    """NaN stays NaN, zeros keep their sign, outside taps count as zeros: as in XNNPACK."""
    shape, filters, stride = STEMS[name]
    for activation in (0, RELU6):
        stem = Stem(shape, filters, stride=(stride, stride), activation=activation)
        x = np.maximum(values(shape), 0)
        x[..., ::5, ::7, :] = value
        stem.kernel[::3, ::2] = value
        stem.bias[::2] = -0.0
        same_as_xnnpack(runner, stem.bytes(), x, claimed=int(has_stem(runner)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0, 3e38])
def test_values_that_depthwise_stumbles_over(runner, value):
    shape, filters, _ = DEPTHWISE
    for activation in (0, RELU6):
        stem = Stem(shape, filters, stride=(2, 2), activation=activation, depthwise=True)
        x = np.maximum(values(shape), 0)
        x[..., ::5, ::7, :] = value
        stem.kernel[:, ::3, ::2] = value
        stem.bias[::2] = -0.0
        same_as_xnnpack(runner, stem.bytes(), x, claimed=int(has_stem(runner)))


def has_stem(runner) -> bool:
    return runner.isas[-1] != "scalar"


def test_a_resized_batch(runner):
    shape, filters, stride = STEMS["ReActNet"]
    flat = Stem(shape, filters, stride=(stride, stride)).bytes()
    batches, claimed = values((5, *shape[1:])), int(has_stem(runner))
    ours, _ = same_as_xnnpack(runner, flat, batches, claimed)
    one_by_one = [
        same_as_xnnpack(runner, flat, batches[i : i + 1], claimed)[0] for i in range(5)
    ]
    np.testing.assert_array_equal(ours, np.concatenate(one_by_one))


def test_what_is_left_to_the_runtime(runner):
    """Convolutions whose sums XNNPACK may order differently, and what is not a stem."""
    for shape, filters, stride in (
        ((1, 9, 9, 5), (16, 3, 3), 1),  # too many channels
        ((1, 9, 9, 3), (7, 3, 3), 1),  # too few
        ((1, 9, 9, 1), (16, 2, 2), 3),  # a stride beyond the filter
        ((1, 9, 9, 3), (16, 3, 3), 4),
        ((1, 4, 4, 3), (16, 3, 3), 2),  # 4 outputs
        ((1, 30, 30, 3), (16, 12, 12), 1),
    ):
        stem = Stem(shape, filters, stride=(stride, stride))
        same_as_xnnpack(runner, stem.bytes(), values(shape), claimed=0)
    for shape, filters, stride in (
        ((1, 9, 9, 4), (28, 3, 3), 1),  # 7 outputs for a channel
        ((1, 9, 9, 8), (8, 3, 3), 1),
        ((1, 9, 9, 1), (16, 3, 3), 1),  # a single channel
        ((1, 4, 4, 8), (64, 3, 3), 2),  # 4 outputs
    ):
        stem = Stem(shape, filters, stride=(stride, stride), depthwise=True)
        same_as_xnnpack(runner, stem.bytes(), values(shape), claimed=0)
    shape, filters, stride = STEMS["CIFAR"]
    stem = Stem(shape, filters)
    stem.options["dilation_w_factor"] = 2
    same_as_xnnpack(runner, stem.bytes(), values(shape), claimed=0)
    same_as_xnnpack(
        runner, Stem(shape, filters).bytes(), values(shape), claimed=0, isa="scalar"
    )
