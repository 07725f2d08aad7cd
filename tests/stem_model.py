"""Models of a float convolution of few channels, as a binary network begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_sparsebnn.converters.int8_layers import Range, layers_of, quantize_layers
from keras_sparsebnn.tflite_file import ModelBuilder, Table, read

SAME, VALID = 0, 1
RELU, RELU_N1_TO_1, RELU6 = 1, 2, 3


class Stem:
    """A CONV_2D, perhaps a MAX_POOL_2D, and the quantization; the graph gives its input, too.

    Args:
        shape: of the input.
        filters: output channels, height and width.
        pool: side and stride of the pool's window.
        depthwise: each output channel reads one input channel, by a DEPTHWISE_CONV_2D.
    """

    def __init__(
        self,
        shape,
        filters,
        *,
        stride=(1, 1),
        padding=SAME,
        activation=0,
        seed=0,
        pool=None,
        depthwise=False,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.model, self.shape, self.stride, self.padding = (
            ModelBuilder(),
            shape,
            stride,
            padding,
        )
        self.depthwise, (self.channels, *window) = depthwise, filters
        whole = (1, *window, self.channels) if depthwise else (*filters, shape[-1])
        self.kernel = rng.normal(0, 1, whole).astype(np.float32)
        self.bias = rng.normal(0, 1, filters[0]).astype(np.float32)
        self.activation, self.pool = activation, pool
        self.options: dict[str, Any] = {"dilation_h_factor": 1, "dilation_w_factor": 1}

    def output_shape(self) -> tuple[int, ...]:
        batch, *image, _ = self.shape
        outside = [0, 0] if self.padding == SAME else [n - 1 for n in self.kernel.shape[1:3]]
        sizes = zip(image, outside, self.stride, strict=True)
        return batch, *(-(-(n - less) // s) for n, less, s in sizes), self.channels

    def bytes(self) -> bytes:
        model = self.model
        x = model.activation(self.shape, "float32")
        y = model.activation(self.output_shape(), "float32")
        batch, *image, channels = self.output_shape()
        if self.pool is not None:
            image = [-(-n // self.pool[1]) for n in image]
        signs = (batch, *image, -(-channels // 32))
        bits = model.activation(signs, "int32")
        name, kind = "CONV_2D", "Conv2DOptions"
        if self.depthwise:
            name, kind = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
            self.options["depth_multiplier"] = self.channels // self.shape[-1]
        options = Table(
            kind,
            padding=self.padding,
            stride_h=self.stride[0],
            stride_w=self.stride[1],
            fused_activation_function=self.activation,
            **self.options,
        )
        constants = [model.constant(self.kernel), model.constant(self.bias)]
        model.operator(name, [x, *constants], [y], options)
        if self.pool is not None:
            side, stride = self.pool
            options = Table(
                "Pool2DOptions",
                **{"padding": SAME, "stride_h": stride, "stride_w": stride},
                **{"filter_height": side, "filter_width": side},
            )
            convolved, y = y, model.activation((batch, *image, channels), "float32")
            model.operator("MAX_POOL_2D", [convolved], [y], options)
        model.operator("LceQuantize", [y], [bits])
        return model.to_bytes([x], [y, bits])


def in_int8(flat: bytes, ranges: Sequence[Range]) -> bytes:
    """The file with its only float layer in int8."""
    (made,) = (tensor for own in layers_of(read(flat)).values() for tensor in own)
    return quantize_layers(flat, {made: ranges})


def assert_same_bits(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal types and bits, signs of zeros too; NaNs in the same places, of any bits."""
    assert ours.dtype == theirs.dtype
    nan = np.isnan(theirs)
    np.testing.assert_array_equal(np.isnan(ours), nan)
    bits = np.dtype(f"i{theirs.dtype.itemsize}")
    np.testing.assert_array_equal(ours[~nan].view(bits), theirs[~nan].view(bits))


def same_as_xnnpack(
    runner: Any, flat: bytes, x: np.ndarray, claimed: int = 1, **options: Any
) -> list[np.ndarray]:
    """Same bits with stem=1 as with stem=0, NaNs aside; `claimed` convolutions are ours."""
    stock = runner.load(stem=0, glue=0)
    theirs = runner.run_on(runner.interpreter(flat, stock, xnnpack=True), x)
    delegate = runner.load(stem=1, **options)
    interpreter = runner.interpreter(flat, delegate, xnnpack=True)  # or its profile would go
    ours: list[np.ndarray] = runner.run_on(interpreter, x)
    nodes = [n for p in runner.profile(delegate)["partitions"] for n in p["nodes"]]
    assert sum(n["op"] in ("CONV_2D", "DEPTHWISE_CONV_2D") for n in nodes) == claimed
    for our, their in zip(ours, theirs, strict=True):
        assert_same_bits(our, their)
    return ours


STEMS = {
    "ResNet-18": ((1, 56, 56, 3), (64, 7, 7), 2),
    "ReActNet": ((2, 32, 32, 3), (32, 3, 3), 2),
    "QuickNet": ((1, 32, 32, 3), (8, 3, 3), 2),
    "CIFAR": ((1, 32, 32, 3), (16, 3, 3), 1),
    "patches": ((1, 32, 32, 3), (48, 4, 4), 4),
    "grayscale": ((1, 28, 28, 1), (64, 3, 3), 1),
}


def values(shape, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
