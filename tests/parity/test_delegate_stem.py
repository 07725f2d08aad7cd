"""Float convolutions of few channels, run by the delegate = XNNPACK's, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_sparsebnn.tflite_file import Table

SAME, VALID = 0, 1
RELU, RELU_N1_TO_1, RELU6 = 1, 2, 3


class Stem:
    """A CONV_2D and the quantization of its output; the graph gives both."""

    def __init__(
        self, op_model, shape, filters, *, stride=(1, 1), padding=SAME, activation=0, seed=0
    ) -> None:
        rng = np.random.default_rng(seed)
        self.model, self.shape, self.stride, self.padding = op_model(), shape, stride, padding
        self.kernel = rng.normal(0, 1, (*filters, shape[-1])).astype(np.float32)
        self.bias = rng.normal(0, 1, filters[0]).astype(np.float32)
        self.activation = activation
        self.options: dict[str, Any] = {"dilation_h_factor": 1, "dilation_w_factor": 1}

    def output_shape(self) -> tuple[int, ...]:
        batch, *image, _ = self.shape
        outside = [0, 0] if self.padding == SAME else [n - 1 for n in self.kernel.shape[1:3]]
        sizes = zip(image, outside, self.stride, strict=True)
        return batch, *(-(-(n - less) // s) for n, less, s in sizes), len(self.kernel)

    def bytes(self) -> bytes:
        model = self.model
        x = model.activation(self.shape, "float32")
        y = model.activation(self.output_shape(), "float32")
        *image, channels = self.output_shape()
        bits = model.activation((*image, -(-channels // 32)), "int32")
        options = Table(
            "Conv2DOptions",
            padding=self.padding,
            stride_h=self.stride[0],
            stride_w=self.stride[1],
            fused_activation_function=self.activation,
            **self.options,
        )
        constants = [model.constant(self.kernel), model.constant(self.bias)]
        model.operator("CONV_2D", [x, *constants], [y], options)
        model.operator("LceQuantize", [y], [bits])
        return model.to_bytes([x], [y, bits])


def check(runner, flat: bytes, x: np.ndarray, claimed: int = 1, **options) -> np.ndarray:
    """Same bits with stem=1 as with stem=0, but for a NaN's, and so many are the delegate's."""
    theirs = runner.run_on(runner.interpreter(flat, runner.load(stem=0), xnnpack=True), x)
    delegate = runner.load(stem=1, **options)
    interpreter = runner.interpreter(flat, delegate, xnnpack=True)
    ours = runner.run_on(interpreter, x)
    nodes = [n for p in runner.profile(delegate)["partitions"] for n in p["nodes"]]
    assert sum(n["op"] == "CONV_2D" for n in nodes) == claimed
    for our, their in zip(ours, theirs, strict=True):
        nan = np.isnan(their)
        np.testing.assert_array_equal(np.isnan(our), nan)
        np.testing.assert_array_equal(our[~nan].view(np.int32), their[~nan].view(np.int32))
    return ours[0]


def values(shape, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_random_geometry(runner, op_model, data):
    """Any filter, stride, padding and activation; on every instruction set but plain ones."""
    draw = data.draw
    padding = draw(st.sampled_from([SAME, VALID]))
    kernel = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    # At least 8 outputs.
    height, width = ((n - 1 if padding == VALID else 0) + 4 * 3 for n in kernel)
    batch, channels = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    shape = batch, height + draw(st.integers(0, 9)), width + draw(st.integers(0, 20)), channels
    stem = Stem(
        op_model,
        shape,
        (draw(st.integers(8, 70)), *kernel),
        stride=tuple(draw(st.integers(1, min(4, n))) for n in kernel),
        padding=padding,
        activation=draw(st.sampled_from([0, RELU, RELU_N1_TO_1, RELU6])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )
    isas = [isa for isa in runner.isas if isa != "scalar"]
    if not isas:
        pytest.skip("needs fused multiply-add")
    options = {"isa": draw(st.sampled_from(isas)), "num_threads": draw(st.integers(1, 4))}
    check(runner, stem.bytes(), values(shape), **options)


STEMS = {
    "ResNet-18": ((1, 56, 56, 3), (64, 7, 7), 2),
    "ReActNet": ((2, 32, 32, 3), (32, 3, 3), 2),
    "QuickNet": ((1, 32, 32, 3), (8, 3, 3), 2),
    "CIFAR": ((1, 32, 32, 3), (16, 3, 3), 1),
    "patches": ((1, 32, 32, 3), (48, 4, 4), 4),
    "grayscale": ((1, 28, 28, 1), (64, 3, 3), 1),
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0, 3e38])
@pytest.mark.parametrize("name", STEMS)
def test_values_that_arithmetic_stumbles_over(runner, op_model, name, value):
    """NaN stays NaN, zeros keep their sign, outside taps count as zeros: as in XNNPACK."""
    shape, filters, stride = STEMS[name]
    for activation in (0, RELU6):
        stem = Stem(op_model, shape, filters, stride=(stride, stride), activation=activation)
        x = np.maximum(values(shape), 0)
        x[..., ::5, ::7, :] = value
        stem.kernel[::3, ::2] = value
        stem.bias[::2] = -0.0
        check(runner, stem.bytes(), x, claimed=int(has_stem(runner)))


def has_stem(runner) -> bool:
    return runner.isas[-1] != "scalar"


def test_a_resized_batch(runner, op_model):
    shape, filters, stride = STEMS["ReActNet"]
    flat = Stem(op_model, shape, filters, stride=(stride, stride)).bytes()
    batches, claimed = values((5, *shape[1:])), int(has_stem(runner))
    ours = check(runner, flat, batches, claimed)
    one_by_one = [check(runner, flat, batches[i : i + 1], claimed) for i in range(5)]
    np.testing.assert_array_equal(ours, np.concatenate(one_by_one))


def test_what_is_left_to_the_runtime(runner, op_model):
    """Convolutions whose sums XNNPACK may order differently, and what is not a stem."""
    for shape, filters, stride in (
        ((1, 9, 9, 5), (16, 3, 3), 1),  # too many channels
        ((1, 9, 9, 3), (7, 3, 3), 1),  # too few
        ((1, 9, 9, 1), (16, 2, 2), 3),  # a stride beyond the filter
        ((1, 9, 9, 3), (16, 3, 3), 4),
        ((1, 4, 4, 3), (16, 3, 3), 2),  # 4 outputs
        ((1, 30, 30, 3), (16, 12, 12), 1),
    ):
        stem = Stem(op_model, shape, filters, stride=(stride, stride))
        check(runner, stem.bytes(), values(shape), claimed=0)
    shape, filters, stride = STEMS["CIFAR"]
    stem = Stem(op_model, shape, filters)
    stem.options["dilation_w_factor"] = 2
    check(runner, stem.bytes(), values(shape), claimed=0)
    check(
        runner, Stem(op_model, shape, filters).bytes(), values(shape), claimed=0, isa="scalar"
    )
