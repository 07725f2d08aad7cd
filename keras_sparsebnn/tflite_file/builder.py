"""Builds a .tflite tensor by tensor and operator by operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from keras_sparsebnn.tflite_file.flexbuffer import write_map
from keras_sparsebnn.tflite_file.model import CUSTOM, operator_name
from keras_sparsebnn.tflite_file.schema import BUILTIN_OPERATORS, TENSOR_TYPES
from keras_sparsebnn.tflite_file.table import Settable, Table
from keras_sparsebnn.tflite_file.writer import write_tables

__all__ = ["ModelBuilder", "operator_code"]


def operator_code(root: Table, name: str, version: int = 1) -> int:
    """The number of an operator code, which is added if this version is not there yet.

    Args:
        root: of kind Model.
        name: a builtin operator's, or a custom one's.
        version: of the operator.
    """
    for number, known in enumerate(root.tables("operator_codes")):
        if (operator_name(known), known.integer("version")) == (name, version):
            return number
    number = BUILTIN_OPERATORS.index(name) if name in BUILTIN_OPERATORS else CUSTOM
    code = Table("OperatorCode", builtin_code=number, version=version)
    # For readers of schemas before 3a; 127 means: see `builtin_code`.
    code["deprecated_builtin_code"] = min(number, 127)
    if number == CUSTOM:
        code["custom_code"] = name
    return root.append("operator_codes", code)


class ModelBuilder:
    """A model of one graph that is being built.

    Attributes:
        root: the file's tables.
        graph: its graph.

    Example:
        >>> builder = ModelBuilder()
        >>> x, y = (builder.activation([1, 4], "float32") for _ in range(2))
        >>> builder.operator("RELU", [x], [y])
        >>> builder.to_bytes([x], [y])[4:8]
        b'TFL3'
    """

    def __init__(self) -> None:
        self.graph = Table("SubGraph")
        self.root = Table("Model", version=3, subgraphs=[self.graph], buffers=[Table("Buffer")])

    def activation(
        self,
        shape: Sequence[int],
        dtype: str,
        scale: float | None = None,
        zero_point: int = 0,
        **values: Settable,
    ) -> int:
        """A tensor that is computed; returns its number.

        Args:
            shape: its shape.
            dtype: NumPy's name of its type.
            scale: of quantised values; None for others.
            zero_point: of quantised values.
            values: of the tensor's other fields.
        """
        values.setdefault("name", f"tensor{len(self.graph.tables('tensors'))}")
        if scale is not None:
            values["quantization"] = Table(
                "QuantizationParameters", scale=[scale], zero_point=[zero_point]
            )
        type = TENSOR_TYPES.index(dtype.upper())
        return self.graph.append("tensors", Table("Tensor", shape=shape, type=type, **values))

    def constant(
        self,
        array: npt.NDArray[Any],
        scale: float | None = None,
        zero_point: int = 0,
        **values: Settable,
    ) -> int:
        """A tensor with the shape, type and values of `array`; returns its number.

        The other arguments are those of `activation`.
        """
        values.setdefault("name", f"constant{len(self.graph.tables('tensors'))}")
        if "buffer" not in values:
            data = array.astype(array.dtype.newbyteorder("<")).tobytes()
            values["buffer"] = self.root.append("buffers", Table("Buffer", data=data))
        return self.activation(array.shape, array.dtype.name, scale, zero_point, **values)

    def operator(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Mapping[str, int] | bytes | Table | None = None,
        version: int = 1,
    ) -> None:
        """Adds a node.

        Args:
            name: a builtin operator's, or a custom one's.
            inputs: numbers of tensors; -1 for an optional one that is absent.
            outputs: numbers of tensors.
            options: a table for a builtin operator, a map or its bytes for a custom one.
            version: of the operator.
        """
        code = operator_code(self.root, name, version)
        table = Table("Operator", opcode_index=code, inputs=inputs, outputs=outputs)
        if isinstance(options, Table):
            table["builtin_options"] = options
        elif options is not None:
            raw = options if isinstance(options, bytes) else write_map(options)
            table["custom_options"] = raw
        self.graph.append("operators", table)

    def to_bytes(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file of a graph with these inputs and outputs."""
        self.graph["inputs"], self.graph["outputs"] = inputs, outputs
        return write_tables(self.root)
