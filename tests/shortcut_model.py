"""Models of the shortcuts of binary networks: average pool and float convolution of 1x1."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_sparsebnn.tflite_file import ModelBuilder, Table
from tests.stem_model import SAME, assert_same_bits


class Shortcut:
    """An AVERAGE_POOL_2D, a CONV_2D of 1x1 and the quantization; the graph gives a map, too.

    Args:
        shape: of the input.
        channels: of the convolution's output; None leaves it out.
        window: side of the pool's window; None leaves the pool out.
        pooled: whether the pool's map is an output of the graph.
    """

    def __init__(
        self,
        shape,
        channels,
        *,
        window=(2, 2),
        stride=(2, 2),
        padding=SAME,
        activation=0,
        seed=0,
        pooled=False,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.shape, self.window, self.stride, self.padding = shape, window, stride, padding
        self.activation, self.pooled = activation, pooled
        self.kernel = self.bias = None
        if channels is not None:
            self.kernel = rng.normal(0, 1, (channels, 1, 1, shape[-1])).astype(np.float32)
            self.bias = rng.normal(0, 1, channels).astype(np.float32)

    def pooled_shape(self) -> tuple[int, ...]:
        if self.window is None:
            return self.shape
        batch, *image, channels = self.shape
        outside = [0, 0] if self.padding == SAME else [n - 1 for n in self.window]
        sizes = zip(image, outside, self.stride, strict=True)
        return batch, *(-(-(n - less) // s) for n, less, s in sizes), channels

    def bytes(self) -> bytes:
        model, outputs = ModelBuilder(), []
        y = x = model.activation(self.shape, "float32")
        if self.window is not None:
            y = model.activation(self.pooled_shape(), "float32")
            options = Table(
                "Pool2DOptions",
                padding=self.padding,
                **dict(zip(("stride_h", "stride_w"), self.stride, strict=True)),
                **dict(zip(("filter_height", "filter_width"), self.window, strict=True)),
            )
            model.operator("AVERAGE_POOL_2D", [x], [y], options)
            if self.pooled or self.kernel is None:
                outputs.append(y)
        *image, channels = self.pooled_shape()
        if self.kernel is not None:
            options = Table(
                "Conv2DOptions",
                padding=SAME,
                **{
                    "stride_h": 1,
                    "stride_w": 1,
                    "dilation_h_factor": 1,
                    "dilation_w_factor": 1,
                },
                fused_activation_function=self.activation,
            )
            channels = len(self.kernel)
            inputs = [y, model.constant(self.kernel), model.constant(self.bias)]
            y = model.activation((*image, channels), "float32")
            model.operator("CONV_2D", inputs, [y], options)
            outputs.append(y)
        bits = model.activation((*image, -(-channels // 32)), "int32")
        model.operator("LceQuantize", [y], [bits])
        return model.to_bytes([x], [*outputs, bits])


def ran_as_stock(
    runner: Any, flat: bytes, x: np.ndarray, **options: Any
) -> list[dict[str, Any]]:
    """The delegate's nodes; the results must be those of glue=0, bit for bit, NaNs aside."""
    stock = runner.load(glue=0)
    theirs = runner.run_on(runner.interpreter(flat, stock), x)
    delegate = runner.load(**options)
    interpreter = runner.interpreter(flat, delegate)  # or its profile would go
    ours = runner.run_on(interpreter, x)
    for our, their in zip(ours, theirs, strict=True):
        assert_same_bits(our, their)
    return [n for p in runner.profile(delegate)["partitions"] for n in p["nodes"]]
