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
from flatbuffers import flexbuffers

from keras_sparsebnn.tflite_file.tree import Table, write_tree

_SLICE, _CUSTOM = 65, 32  # BuiltinOperator
_FLOAT32, _INT32 = 0, 2  # TensorType
_CODES = {"LceBconv2d": _CUSTOM, "": _SLICE}


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
    float_output = layer.output == "float"
    rows, columns = (-(-side // layer.stride) for side in (layer.height, layer.width))
    channels = outs if float_output else outs // 32
    output_type = _FLOAT32 if float_output else _INT32
    buffers, tensors = [Table("Buffer")], []

    def tensor(shape: list[int], kind: int, data: npt.NDArray[np.generic] | None = None) -> int:
        table = Table("Tensor", {"name": f"tensor{len(tensors)}".encode()})
        table.set_integers("shape", shape)
        table.set_integer("type", kind)
        if data is not None:
            table.set_integer("buffer", len(buffers))
            buffers.append(Table("Buffer", {"data": data.tobytes()}))
        tensors.append(table)
        return len(tensors) - 1

    weights = _filter(layer, rng)
    x = tensor([1, layer.height, layer.width, layer.channels_in // 32], _INT32)
    operands = [x, tensor(list(weights.shape), _INT32, weights)]
    if float_output:
        for values in (rng.uniform(0.5, 2, outs), rng.normal(size=outs)):
            operands.append(tensor([outs], _FLOAT32, values.astype("<f4")))
        operands.append(-1)
    else:
        thresholds = rng.normal(depth / 2, depth**0.5, outs).astype("<i4")
        operands += [-1, -1, tensor([outs], _INT32, thresholds)]
    y = tensor([1, rows, columns, channels], output_type)
    begin = tensor([4], _INT32, np.zeros(4, "<i4"))
    size = tensor([4], _INT32, np.array([1, 1, 1, channels], "<i4"))
    pixel = tensor([1, 1, 1, channels], output_type)

    codes = []
    for name, code in _CODES.items():
        table = Table("OperatorCode", {"custom_code": name.encode()} if name else {})
        table.set_integer("deprecated_builtin_code", code)
        table.set_integer("builtin_code", code)
        table.set_integer("version", 1)
        codes.append(table)
    ops = []
    for number, (inputs, output) in enumerate(((operands, y), ([y, begin, size], pixel))):
        table = Table("Operator")
        table.set_integer("opcode_index", number)
        table.set_integers("inputs", inputs)
        table.set_integers("outputs", [output])
        ops.append(table)
    ops[0].fields["custom_options"] = _options(layer)
    graph = Table("SubGraph", {"tensors": tensors, "operators": ops})
    graph.set_integers("inputs", [x])
    graph.set_integers("outputs", [pixel])
    model = Table("Model", {"operator_codes": codes, "subgraphs": [graph], "buffers": buffers})
    model.set_integer("version", 3)
    return write_tree(model)


def _options(layer: Layer) -> bytes:
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in (
            ("channels_in", layer.channels_in),
            ("dilation_height_factor", 1),
            ("dilation_width_factor", 1),
            ("fused_activation_function", 0),
            ("pad_values", 1),
            ("padding", 0),  # SAME
            ("stride_height", layer.stride),
            ("stride_width", layer.stride),
        ):
            builder.Int(name, value)
    return bytes(builder.Finish())
