"""Operators of a .tflite from float to int8, one by one; the equation is in `int8_layers`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.converters.int8_weights import DEQUANTIZE, quantized
from keras_sparsebnn.tflite_file import Model, Operator, Table, Tensor, operator_code
from keras_sparsebnn.tflite_file.schema import TENSOR_TYPES
from keras_sparsebnn.tflite_file.table import Settable

__all__ = ["CARRIERS", "OUTPUT_AXIS", "VERSIONS", "Int8Change", "Range", "range_of"]

OUTPUT_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
"""Which axis of the weights is the output channel, where each channel has a scale."""

CARRIERS = ("MAX_POOL_2D", "PAD")
"""Operators whose outputs are among their inputs, so they keep scale and zero point."""

VERSIONS = {
    **{"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4},
    **{"MAX_POOL_2D": 2, "PAD": 2, "QUANTIZE": 1, DEQUANTIZE: 2},
}
"""The operator's first version that takes int8."""

_LARGEST_BIAS = 2**30

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Range:
    """What int8 stands for: `x = scale (q - zero_point)`."""

    scale: float
    zero_point: int

    @classmethod
    def spanning(cls, low: float, high: float) -> Range:
        """The finest range with both and 0 in it.

        Example:
            >>> Range.spanning(-64, 63.5), Range.spanning(0, 0)
            (Range(scale=0.5, zero_point=0), Range(scale=1.0, zero_point=-128))
        """
        low, high = min(0.0, float(low)), max(0.0, float(high))
        scale = float(np.float32((high - low) / 255))
        if scale < np.finfo(np.float32).tiny:
            return cls(1.0, -128)
        return cls(scale, round(-128 - low / scale))

    def table(self) -> Table:
        """The table that a file has for it."""
        return Table("QuantizationParameters", scale=[self.scale], zero_point=[self.zero_point])


def range_of(tensor: Tensor) -> Range | None:
    """The range of an activation; None if it has not exactly one scale."""
    quantization = tensor.table.table("quantization")
    if quantization is None or len(quantization.vector("scale")) != 1:
        return None
    zero_points = quantization.integers("zero_point") or (0,)
    return Range(float(quantization.vector("scale")[0]), zero_points[0])


class Int8Change:
    """A file that is being changed, chain by chain.

    Attributes:
        of: float tensor -> its int8 counterpart in this chain.
        ranges: float tensor -> what its int8 counterpart stands for.
        readers: tensor -> how many operators, and the caller, still read it.
        left: buffers that a tensor had before.
    """

    def __init__(self, file: Model) -> None:
        self.file, self.graph = file, file.subgraphs[0]
        self.ranges: dict[int, Range] = {}
        self.of: dict[int, int] = {}
        self.readers = Counter(i for o in self.graph.operators for i in o.inputs)
        self.readers.update(self.graph.outputs)
        self.left: set[int] = set()

    def begin(self, ranges: dict[int, Range], first: int) -> None:
        self.ranges, self.of = ranges, {}
        self.activation(first, ranges[first])

    def operator(self, name: str, source: int, target: int) -> Table:
        """A new one that reads and writes one tensor."""
        code = operator_code(self.file.root, name, VERSIONS[name])
        return Table("Operator", opcode_index=code, inputs=[source], outputs=[target])

    def activation(self, index: int, range: Range) -> None:
        tensor = self.graph.tensors[index]
        self.of[index] = self.graph.table.append(
            "tensors",
            Table(
                "Tensor",
                shape=tensor.shape,
                type=TENSOR_TYPES.index("INT8"),
                name=f"{tensor.name}/int8",
                quantization=range.table(),
            ),
        )

    def change(self, operator: Operator) -> None:
        """Lets an operator read and write int8."""
        source, target = operator.inputs[0], operator.outputs[0]
        inputs = [self.of[source], *operator.inputs[1:]]
        if operator.name in CARRIERS:
            self.ranges[target] = self.ranges[source]
        else:
            inputs[1:] = self.parameters(operator, self.ranges[source])
        self.activation(target, self.ranges[target])
        codes = self.file.root.tables("operator_codes")
        version = codes[operator.table.integer("opcode_index")].integer("version")
        version = max(version, VERSIONS[operator.name])
        operator.table["opcode_index"] = operator_code(self.file.root, operator.name, version)
        operator.table["inputs"] = inputs
        operator.table["outputs"] = [self.of[target]]

    def parameters(self, operator: Operator, source: Range) -> Iterator[int]:
        """Weights and bias, in integers."""
        tensors = self.graph.tensors
        axis = OUTPUT_AXIS.get(operator.name)
        filter, *shifts = operator.inputs[1:]
        weights: Floats = self.file.constant(tensors[filter], "FLOAT32")
        bias: Floats = np.zeros(1, np.float32)
        for shift in shifts:
            bias = self.file.constant(tensors[shift], "FLOAT32") if shift >= 0 else bias
        # A channel of hardly any weights may have a bias that needs a coarser scale.
        least = np.abs(bias) / (source.scale * _LARGEST_BIAS)
        if axis is None:
            scale = quantized(weights.reshape(1, -1), 0)[1]
            scale = np.maximum(scale, least.max(initial=0).astype(np.float32))
        else:
            scale = np.maximum(quantized(weights, axis)[1], least.astype(np.float32))
        along = scale.reshape([-1 if i == axis else 1 for i in range(weights.ndim)])
        integers = np.clip(np.rint(weights / along), -127, 127).astype(np.int8)
        yield self.constant(filter, integers, scale, axis or 0)
        steps = np.float64(source.scale) * scale.astype(np.float64)
        terms = np.rint(bias / steps).astype(np.int32)
        for shift in shifts:
            yield self.constant(shift, terms, steps.astype(np.float32), 0) if shift >= 0 else -1

    def constant(
        self,
        index: int,
        values: npt.NDArray[np.int8 | np.int32],
        scale: Floats,
        axis: int,
    ) -> int:
        """Replaces a constant; makes another if other operators read it, too."""
        fields: dict[str, Settable] = {
            "shape": values.shape,
            "type": TENSOR_TYPES.index(values.dtype.name.upper()),
            "buffer": self.file.root.append("buffers", Table("Buffer", data=values.tobytes())),
            "quantization": Table(
                "QuantizationParameters",
                scale=scale,
                zero_point=np.zeros(scale.size, np.int64),
                quantized_dimension=axis,
            ),
        }
        tensor = self.graph.tensors[index]
        self.readers[index] -= 1
        if self.readers[index]:
            return self.graph.table.append(
                "tensors", Table("Tensor", name=tensor.name, **fields)
            )
        for name, value in fields.items():
            tensor.table[name] = value
        self.left.add(tensor.buffer)
        return index

    def drop_what_nothing_reads(self) -> None:
        """Empties the buffers of float weights."""
        used = {
            tensor.integer("buffer")
            for graph in self.file.root.tables("subgraphs")
            for tensor in graph.tables("tensors")
        }
        for buffer in self.left - used - set(self.file.metadata.values()):
            self.file.root.tables("buffers")[buffer] = Table("Buffer")
