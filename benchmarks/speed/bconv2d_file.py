"""A .tflite of one binary convolution, for timing it alone.

    int32 [1, h, w, ceil(c / 32)] -> LceBconv2d -> SLICE -> its first pixel

Interpreters copy what a model returns. 64 channels of 56 x 56 pixels are 800 kB; copying them
is no part of the convolution, so a SLICE, which any interpreter has, leaves one pixel. The op
itself is whole: bit-packed input to outputs in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.tflite_file import ModelBuilder


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution with padding SAME of ones.

    Attributes:
        height, width: of the input.
        channels_in, channels_out: multiples of 32.
        stride: in both directions.
        codewords: how many different 3x3 kernels; 0 for random bits everywhere.
        output: "float" or "bits".
    """

    height: int
    width: int
    channels_in: int
    channels_out: int
    stride: int
    codewords: int
    output: str

    @classmethod
    def read(cls, line: str) -> Layer:
        """A line of shapes/*.txt: height width in out filter stride codewords output."""
        *numbers, output = line.split()
        height, width, channels_in, channels_out, size, stride, codewords = map(int, numbers)
        if size != 3 or output not in ("float", "bits") or (channels_in | channels_out) % 32:
            raise SystemExit(f"Expected 3x3, float or bits, channels x 32, got `{line}`.")
        return cls(height, width, channels_in, channels_out, stride, codewords, output)

    @property
    def macs(self) -> int:
        """Multiplications and additions, padding included."""
        pixels = -(-self.height // self.stride) * -(-self.width // self.stride)
        return 9 * pixels * self.channels_in * self.channels_out


def _packed(bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    return np.ascontiguousarray(np.packbits(bits, axis=-1, bitorder="little")).view("<i4")


def _filter(layer: Layer, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    outs, ins = layer.channels_out, layer.channels_in
    if layer.codewords == 0:
        return _packed(rng.integers(0, 2, (outs, 3, 3, ins), np.uint8))
    ids = rng.choice(512, layer.codewords, replace=False)
    codebook = (ids[:, None] >> np.arange(9) & 1).astype(np.uint8)
    chosen = rng.integers(0, layer.codewords, (outs, ins))
    return _packed(np.moveaxis(codebook[chosen], 2, 1).reshape(outs, 3, 3, ins))


def bconv2d_file(layer: Layer, seed: int = 0) -> bytes:
    """The file, with random weights."""
    rng = np.random.default_rng(seed)
    outs, depth = layer.channels_out, 9 * layer.channels_in
    rows, columns = (-(-side // layer.stride) for side in (layer.height, layer.width))
    floats = layer.output == "float"
    channels, dtype = (outs, "float32") if floats else (outs // 32, "int32")
    builder = ModelBuilder()
    x = builder.activation([1, layer.height, layer.width, layer.channels_in // 32], "int32")
    operands = [x, builder.constant(_filter(layer, rng))]
    if floats:
        for values in (rng.uniform(0.5, 2, outs), rng.normal(size=outs)):
            operands.append(builder.constant(values.astype(np.float32)))
        operands.append(-1)
    else:
        thresholds = rng.normal(depth / 2, depth**0.5, outs).astype(np.int32)
        operands += [-1, -1, builder.constant(thresholds)]
    y = builder.activation([1, rows, columns, channels], dtype)
    options = {
        "channels_in": layer.channels_in,
        **{f"dilation_{side}_factor": 1 for side in ("height", "width")},
        **{"fused_activation_function": 0, "pad_values": 1},
        "padding": 0,  # SAME
        **{f"stride_{side}": layer.stride for side in ("height", "width")},
    }
    builder.operator("LceBconv2d", operands, [y], options)
    begin = builder.constant(np.zeros(4, np.int32))
    size = builder.constant(np.array([1, 1, 1, channels], np.int32))
    pixel = builder.activation([1, 1, 1, channels], dtype)
    builder.operator("SLICE", [y, begin, size], [pixel])
    return builder.to_bytes([x], [pixel])
