"""Reads a .tflite defensively: any bytes give a `Model` or a one-line `ModelFileError`.

The generated schema classes follow offsets wherever they point, so a damaged file makes them
raise anything, or loop for hours. Three rules keep that out: every vector is bounded by the
file before it is read, all vectors together are bounded too (entries may share their target,
which would make work quadratic in the size of the file), and what the classes raise on
garbage is converted by a named list.

NumPy, `flatbuffers` and the generated schema (`tflite`) only: no TensorFlow.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.errors import SparseBNNError

try:
    import tflite
    from flatbuffers import flexbuffers
except ImportError as error:  # a board without the [device] extra
    raise ImportError(
        "Expected the `tflite` package to be installed, found none. "
        "Run: pip install 'keras-sparsebnn[device]'"
    ) from error

__all__ = ["Model", "ModelFileError", "Operator", "Subgraph", "Tensor", "read"]

MAX_FILE_BYTES = 2**31 - 1
"""Flatbuffer offsets are 32-bit and TFLite keeps to the signed half."""

_READ_BUDGET = 8
"""How many times the file's size all vectors together may have: 1 unless some are shared."""

_MAX_OPTIONS_BYTES = 4096
"""LCE's options take about 200 bytes; reading FlexBuffer keys is quadratic in this bound."""

# What flatbuffers' Python classes raise when offsets point into the wrong place.
_GARBAGE = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)

_IDENTIFIER = b"TFL3"

NUMBERS = {"FLOAT32": "<f4", "INT8": "i1", "UINT8": "u1", "UINT16": "<u2", "INT32": "<i4"}
"""NumPy's names of the types that `Model.constant` reads."""

CUSTOM_PREFIXES = ("Lce", "Sparsebnn")
"""Of the custom operators whose options are read."""


class ModelFileError(SparseBNNError):
    """The file is not a .tflite that can be read."""


@dataclass(frozen=True)
class Tensor:
    """One tensor; `buffer` indexes `Model.buffers`, which holds its constant data if any."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    buffer: int


@dataclass(frozen=True)
class Operator:
    """One node; `name` is the builtin's name or the custom code, -1 marks an unused input."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, int | float | str | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Subgraph:
    """One graph; `outputs_field` is where the file refers to its outputs vector."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    outputs_field: int


@dataclass(frozen=True)
class Model:
    """A whole file.

    Attributes:
        flat: the bytes it was read from.
        buffers: (offset, bytes) of each constant buffer, (0, 0) for none.
        metadata: name -> buffer index.
        output_names: signature name -> tensor index of the first subgraph.
    """

    flat: bytes
    version: int
    description: str
    subgraphs: tuple[Subgraph, ...]
    buffers: tuple[tuple[int, int], ...]
    metadata: dict[str, int]
    input_names: dict[str, int]
    output_names: dict[str, int]

    def data(self, tensor: Tensor) -> bytes:
        """The tensor's constant data; empty for an activation."""
        offset, size = self.buffers[tensor.buffer]
        return self.flat[offset : offset + size]

    def constant(self, tensor: Tensor, dtype: str) -> npt.NDArray[Any]:
        """The constant data of a tensor that must be of `dtype`, in its shape.

        Raises:
            ModelFileError: type, shape and data do not belong together.
        """
        data, numbers = self.data(tensor), np.dtype(NUMBERS[dtype])
        if tensor.dtype != dtype or len(data) != numbers.itemsize * _elements(tensor.shape):
            raise ModelFileError(
                f"Expected {dtype} data of shape {list(tensor.shape)}, got {tensor.dtype} and "
                f"{len(data)} bytes (tensor {tensor.name!r}). The file is damaged."
            )
        return np.frombuffer(data, numbers).reshape(tensor.shape)


def _elements(shape: tuple[int, ...]) -> int:
    count = 1  # Python integers: the product of a damaged shape may have any size
    for extent in shape:
        count *= extent
    return count


def _enum_names(enum: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


_OPERATORS = _enum_names(tflite.BuiltinOperator)
_TYPES = _enum_names(tflite.TensorType)


class _Reader:
    """The schema classes plus the bounds."""

    def __init__(self, flat: bytes) -> None:
        self.flat = flat
        self.budget = _READ_BUDGET * len(flat)

    def spend(self, size: int, what: str) -> None:
        self.budget -= size
        if size > len(self.flat) or self.budget < 0:
            raise ModelFileError(
                f"Expected at most {len(self.flat)} bytes of {what}, as the file has, got a "
                f"claim of {size}. The file is damaged."
            )

    def length(self, table: Any, vector: str, entry_bytes: int = 4) -> int:
        """The length of a vector, checked before anything loops over it."""
        count = int(getattr(table, f"{vector}Length")())
        self.spend(count * entry_bytes, vector)
        return count

    def integers(self, table: Any, vector: str) -> tuple[int, ...]:
        if self.length(table, vector) == 0:
            return ()
        return tuple(getattr(table, f"{vector}AsNumpy")().tolist())

    def tables(self, table: Any, vector: str) -> list[Any]:
        return [getattr(table, vector)(i) for i in range(self.length(table, vector))]

    def text(self, raw: bytes | None) -> str:
        if raw is None:
            return ""
        self.spend(len(raw), "text")
        return raw.decode("utf-8", "replace")

    def buffer(self, table: Any) -> tuple[int, int]:
        size = self.length(table, "Data", 1)
        if size:
            start = table._tab.Vector(table._tab.Offset(4))
        else:  # files over 2 GiB keep their data behind the flatbuffer
            start, size = table.Offset(), table.Size()
            if size == 0 or start <= 1:
                return 0, 0
        if start + size > len(self.flat):
            raise ModelFileError(
                f"Expected a buffer inside the file's {len(self.flat)} bytes, got bytes "
                f"{start} to {start + size}. The file is truncated."
            )
        return start, size

    def options(self, table: Any) -> dict[str, int | float | str | bool]:
        size = self.length(table, "CustomOptions", 1)
        if size == 0 or size > _MAX_OPTIONS_BYTES:
            return {}
        root = flexbuffers.GetRoot(bytes(table.CustomOptionsAsNumpy()))
        if not root.IsMap:
            return {}
        entries = root.AsMap
        if len(entries) > size:
            raise ModelFileError(
                f"Expected at most {size} options, got {len(entries)}. The file is damaged."
            )
        result: dict[str, int | float | str | bool] = {}
        for i in range(len(entries)):
            key, value = str(entries.Keys[i].AsKey), entries.Values[i]
            if value.IsBool:
                result[key] = bool(value.AsBool)
            elif value.IsInt:
                result[key] = int(value.AsInt)
            elif value.IsFloat:
                result[key] = float(value.AsFloat)
            elif value.IsString:
                result[key] = str(value.AsString)
        return result

    def tensor(self, table: Any, buffers: int) -> Tensor:
        # The signature knows a dynamic extent as -1; plain shape then says 1.
        shape = self.integers(table, "Shape")
        if any(extent < 0 for extent in shape):
            raise ModelFileError(
                f"Expected a shape without negative extents, got {list(shape)}. "
                "The file is damaged."
            )
        index = int(table.Buffer())
        self.check(index, buffers, "buffer", optional=False)
        dtype = _TYPES.get(table.Type(), f"TYPE_{table.Type()}")
        return Tensor(self.text(table.Name()), shape, dtype, index)

    def check(self, index: int, count: int, what: str, *, optional: bool) -> None:
        if not (-1 if optional else 0) <= index < count:
            raise ModelFileError(
                f"Expected a {what} index below {count}, got {index}. The file is damaged."
            )

    def operator(self, table: Any, names: list[str], tensors: int) -> Operator:
        code = int(table.OpcodeIndex())
        self.check(code, len(names), "operator code", optional=False)
        inputs, outputs = self.integers(table, "Inputs"), self.integers(table, "Outputs")
        for index in inputs + outputs:
            self.check(index, tensors, "tensor", optional=True)
        options = self.options(table) if names[code].startswith(CUSTOM_PREFIXES) else {}
        return Operator(names[code], inputs, outputs, options)

    def operator_name(self, table: Any) -> str:
        custom = self.text(table.CustomCode())
        if custom:
            return custom
        # Schema versions before 3a have only the 8-bit field.
        code = max(table.BuiltinCode(), table.DeprecatedBuiltinCode())
        return _OPERATORS.get(code, f"BUILTIN_{code}")

    def subgraph(self, table: Any, names: list[str], buffers: int) -> Subgraph:
        tensors = tuple(self.tensor(t, buffers) for t in self.tables(table, "Tensors"))
        operators = tuple(
            self.operator(op, names, len(tensors)) for op in self.tables(table, "Operators")
        )
        inputs, outputs = self.integers(table, "Inputs"), self.integers(table, "Outputs")
        for index in inputs + outputs:
            self.check(index, len(tensors), "tensor", optional=False)
        offset = table._tab.Offset(8)
        place = table._tab.Pos + offset if offset else 0
        return Subgraph(tensors, operators, inputs, outputs, place)

    def names(self, signature: Any, vector: str) -> dict[str, int]:
        return {
            self.text(entry.Name()): int(entry.TensorIndex())
            for entry in self.tables(signature, vector)
        }

    def model(self) -> Model:
        root = tflite.Model.GetRootAs(self.flat, 0)
        buffers = tuple(self.buffer(table) for table in self.tables(root, "Buffers"))
        names = [self.operator_name(table) for table in self.tables(root, "OperatorCodes")]
        metadata = {}
        for table in self.tables(root, "Metadata"):
            self.check(table.Buffer(), len(buffers), "buffer", optional=False)
            metadata[self.text(table.Name())] = int(table.Buffer())
        subgraphs = tuple(
            self.subgraph(table, names, len(buffers))
            for table in self.tables(root, "Subgraphs")
        )
        if not subgraphs:
            raise ModelFileError(
                "Expected at least one subgraph, got none. The file is damaged."
            )
        signatures = self.tables(root, "SignatureDefs")
        first = signatures[0] if signatures else None
        input_names = self.names(first, "Inputs") if first else {}
        output_names = self.names(first, "Outputs") if first else {}
        for index in (*input_names.values(), *output_names.values()):
            self.check(index, len(subgraphs[0].tensors), "tensor", optional=False)
        return Model(
            self.flat,
            int(root.Version()),
            self.text(root.Description()),
            subgraphs,
            buffers,
            metadata,
            input_names,
            output_names,
        )


def _load(source: bytes | str | os.PathLike[str]) -> tuple[bytes, str]:
    """The bytes, and where they came from, for messages."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        flat, where = bytes(source), ""
    else:
        where = f" ({os.fspath(source)})"
        try:
            with Path(source).open("rb") as file:
                # One byte more than fits: enough to refuse the file without reading it all.
                flat = file.read(MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = getattr(error, "strerror", None) or error
            raise ModelFileError(
                f"Expected a .tflite that can be read, got: {reason}{where}."
            ) from error
    if not 8 <= len(flat) <= MAX_FILE_BYTES:
        raise ModelFileError(
            f"Expected a .tflite of 8 to {MAX_FILE_BYTES} bytes, got {len(flat)}{where}."
        )
    return flat, where


def read(source: bytes | str | os.PathLike[str]) -> Model:
    """Reads a file, or its bytes.

    Args:
        source: a path, or the bytes of a .tflite.

    Raises:
        ModelFileError: no such file, not a .tflite, truncated or damaged.
    """
    flat, where = _load(source)
    if flat[4:8] != _IDENTIFIER:
        raise ModelFileError(
            f"Expected a .tflite (identifier TFL3 at byte 4), got {flat[4:8]!r}{where}."
        )
    try:
        return _Reader(flat).model()
    except ModelFileError as error:
        raise ModelFileError(f"{error}{where}") from error
    except _GARBAGE as error:
        raise ModelFileError(
            f"Expected a readable .tflite, got a truncated or damaged one{where}."
        ) from error
