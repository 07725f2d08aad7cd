"""Bytes to tables: any bytes give them or a one-line `ModelFileError`, in bounded time.

Every offset and length is checked against the file before it is followed. The number of tables
and the bytes of all vectors together are bounded too: entries may share their target, which
would make the work quadratic in the size of the file. Then every index is checked, so no other
code has to. Vectors are views: nothing large is copied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.tflite_file.schema import BUILTIN_OPERATORS, FAR, SCHEMA, UNIONS, Field
from keras_sparsebnn.tflite_file.table import Table, Value, Vector

__all__ = ["IDENTIFIER", "MAX_FILE_BYTES", "ModelFileError", "read_tables"]

IDENTIFIER = b"TFL3"

MAX_FILE_BYTES = 2**31 - 1
"""Flatbuffer offsets are 32-bit and TFLite keeps to the signed half."""

MAX_TABLES = 200_000
"""A model of a thousand layers has about ten thousand."""

MAX_RANK = 32
"""TFLite's kernels have up to eight."""

MAX_ELEMENTS = 2**31 - 1
"""Elements of a tensor; TFLite counts its bytes in 64 bits, its elements in 32."""

_READ_BUDGET = 8
"""Limit of all vectors together, in multiples of the file's size: 1 unless some are shared."""

_ALIGNMENT = 16
"""Alignment of constants in bytes, and so of anything behind the flatbuffer."""


class ModelFileError(SparseBNNError):
    """The file is not a .tflite that can be read."""


def damaged(what: str) -> ModelFileError:
    """The error of a file that breaks a rule of the format."""
    return ModelFileError(
        f"Expected a readable .tflite, got {what}. The file is damaged or cut short: convert "
        "or copy it again."
    )


class _Reader:
    def __init__(self, flat: bytes) -> None:
        self.flat = flat
        self.tables = MAX_TABLES
        self.budget = _READ_BUDGET * len(flat)
        self.end = 0  # of everything that was read
        self.complete = True  # whether the schema has every field

    def within(self, start: int, size: int) -> int:
        """`start`, if `size` bytes are there."""
        end = start + size
        if start < 0 or end > len(self.flat):
            raise damaged(f"an offset to byte {start} of {len(self.flat)}")
        self.end = max(self.end, end)
        return start

    def number(self, start: int, size: int, *, signed: bool = False) -> int:
        self.within(start, size)
        return int.from_bytes(self.flat[start : start + size], "little", signed=signed)

    def target(self, start: int) -> int:
        return start + self.number(start, 4)

    def vector(self, start: int, count: int, type: str) -> Vector:
        size = count * int(type[2])
        self.budget -= size
        if size > len(self.flat) or self.budget < 0:
            raise damaged(f"vectors of {size} bytes or more, too many for {len(self.flat)}")
        self.within(start, size)
        return np.frombuffer(self.flat, type, count, start) if count else np.empty(0, type)

    def counted(self, start: int, type: str) -> Vector:
        return self.vector(start + 4, self.number(start, 4), type)

    def text(self, start: int) -> bytes:
        text = self.counted(start, "<u1").tobytes()
        if self.number(start + 4 + len(text), 1):
            raise damaged(f"a text at byte {start} without its end")
        return text

    def table(self, start: int, kind: str) -> Table:
        self.tables -= 1
        if self.tables < 0:
            raise damaged(f"more than {MAX_TABLES} tables")
        vtable = start - self.number(start, 4, signed=True)
        vtable_bytes, table_bytes = self.number(vtable, 2), self.number(vtable + 2, 2)
        if vtable_bytes < 4 or vtable_bytes % 2 or table_bytes < 4:
            raise damaged(f"no table at byte {start}")
        self.within(start, table_bytes)
        places = self.vector(vtable + 4, vtable_bytes // 2 - 2, "<u2").tolist()
        table = Table(kind)
        known = SCHEMA[kind]
        for number, place in enumerate(places):
            if place == 0:
                continue
            if number >= len(known):
                table.unknown = number
                break
            field = known[number]
            if place < 4 or place + field.bytes > table_bytes:
                raise damaged(f"a field outside of the table at byte {start}")
            type = field.type
            if type in UNIONS:
                member = table.integer(f"{field.name}_type")
                if not 0 < member < len(UNIONS[type]):
                    table.unknown = number
                    continue
                type = UNIONS[type][member]
            table.fields[field.name] = self.value(start + place, field, type)
        if table.unknown is not None:
            self.complete = False
        if kind in FAR:
            self.fetch(table)
        return table

    def value(self, start: int, field: Field, type: str) -> Value:
        if field.scalar and not field.vector:
            if type == "<f4":
                return np.float32(self.vector(start, 1, type)[0])
            return self.number(start, field.bytes, signed=type[1] == "i")
        target = self.target(start)
        if type == "text":
            return self.text(target)
        if not field.vector:
            return self.table(target, type)
        if field.scalar:
            return self.counted(target, type)
        offsets = self.counted(target, "<u4").tolist()
        return [self.table(target + 4 + 4 * i + o, type) for i, o in enumerate(offsets)]

    def fetch(self, table: Table) -> None:
        """A vector behind the flatbuffer; as in TFLite, offset and size are above 1 then."""
        vector, *names = FAR[table.kind]
        start, size = (table.integer(name) for name in names)
        if vector not in table and start > 1 and size > 1:
            table.fields[vector] = self.vector(start, size, "<u1")
            table.far = True
            for name in names:
                del table.fields[name]


def check_size(size: int) -> None:
    """Refuses files that are too short or too long for a .tflite.

    Raises:
        ModelFileError: `size` is out of range.
    """
    if not 8 <= size <= MAX_FILE_BYTES:
        raise ModelFileError(f"Expected a .tflite of 8 to {MAX_FILE_BYTES} bytes, got {size}.")


def read_tables(flat: bytes) -> tuple[Table, int]:
    """The root table, of kind Model, and the offset of the bytes behind the flatbuffer.

    Raises:
        ModelFileError: too long, truncated or damaged.
    """
    check_size(len(flat))
    if flat[4:8] != IDENTIFIER:
        raise ModelFileError(
            f"Expected a .tflite (identifier TFL3 at byte 4), got {flat[4:8]!r}."
        )
    reader = _Reader(flat)
    root = reader.table(reader.target(0), "Model")
    _check(root)
    if not reader.complete:
        return root, len(flat)
    end = reader.end
    while end % _ALIGNMENT and end < len(flat) and flat[end] == 0:
        end += 1
    return root, end


_OPTIONAL = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "FULLY_CONNECTED"), 2),
    **dict.fromkeys(("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE", "SVDF"), 3),
    **dict.fromkeys(("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"), 1),
    **dict.fromkeys(("BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN"), 1),
    "CUSTOM": 0,
}
"""The first input that may be absent, mostly a bias. Other operators need all their inputs."""


def operator_number(code: Table) -> int:
    """The `BuiltinOperator` of an operator code."""
    # Schema versions before 3a have only the 8-bit field.
    return max(code.integer("builtin_code"), code.integer("deprecated_builtin_code"))


def _check(root: Table) -> None:
    """Refuses indices that are out of range.

    -1, an absent optional tensor, is allowed where TFLite allows it: at inputs of some
    operators, and anywhere at custom ones.
    """
    codes = [operator_number(code) for code in root.tables("operator_codes")]
    names = [BUILTIN_OPERATORS[n] if 0 <= n < len(BUILTIN_OPERATORS) else "" for n in codes]
    graphs, buffers = root.tables("subgraphs"), len(root.tables("buffers"))
    if not graphs:
        raise damaged("no subgraph")
    for graph in graphs:
        tensors = len(graph.tables("tensors"))
        for tensor in graph.tables("tensors"):
            _index("buffer", [tensor.integer("buffer")], buffers)
            # A dynamic extent is -1 in `shape_signature` only; `shape` has 1 there.
            _check_shape(tensor.integers("shape"))
        for name in ("inputs", "outputs"):
            _index("tensor", graph.integers(name), tensors)
        for operator in graph.tables("operators"):
            code = operator.integer("opcode_index")
            _index("operator code", [code], len(codes))
            inputs = operator.integers("inputs")
            first = _OPTIONAL.get(names[code], len(inputs))
            _index("tensor", inputs[:first], tensors)
            _index("tensor", inputs[first:], tensors, lowest=-1)
            lowest = -1 if names[code] == "CUSTOM" else 0
            _index("tensor", operator.integers("outputs"), tensors, lowest=lowest)
            _index("tensor", operator.integers("intermediates"), tensors, lowest=-1)
    _index("buffer", [entry.integer("buffer") for entry in root.tables("metadata")], buffers)
    _index("buffer", root.integers("metadata_buffer"), buffers)
    for signature in root.tables("signature_defs"):
        number = signature.integer("subgraph_index")
        _index("subgraph", [number], len(graphs))
        for name in ("inputs", "outputs"):
            named = [entry.integer("tensor_index") for entry in signature.tables(name)]
            _index("tensor", named, len(graphs[number].tables("tensors")))


def _check_shape(shape: Sequence[int]) -> None:
    """Bounds what everybody else computes with a shape."""
    if len(shape) > MAX_RANK:
        raise damaged(f"a tensor of {len(shape)} dimensions")
    if min(shape, default=0) < 0:
        raise damaged(f"a shape with negative extents, {list(shape)}")
    if math.prod(max(1, int(extent)) for extent in shape) > MAX_ELEMENTS:
        raise damaged(f"a tensor of more than {MAX_ELEMENTS} elements, {list(shape)}")


def _index(what: str, indices: Sequence[int], count: int, *, lowest: int = 0) -> None:
    for index in indices:
        if not lowest <= index < count:
            raise damaged(f"{what} {index} of {count}")
