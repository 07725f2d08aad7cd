"""Reads and checks the structure of a `.tflite` file before an interpreter sees it.

LCE's interpreter trusts its input: a truncated file crashes the process. So every offset and
every vector that an interpreter follows is checked here first, by the tables of TFLite's
`schema.fbs` version 3. FlexBuffer options and the values in the tensors are not looked at.

Standard library only: works on a board that has just NumPy and an interpreter.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["MAX_BYTES", "custom_ops", "read_model", "tensor_names"]

MAX_BYTES = 2**31 - 1
"""FlatBuffer offsets are 32 bit; TFLite refuses longer files as well."""

MAX_TABLES = 100_000
"""Tables visited per file; a thousand layers have about ten thousand. Bounds the work that a
small file can ask for by naming the same tables again and again."""

IDENTIFIER = b"TFL3"

# Field number -> how to check it. "table:X" one table, "tables:X" a vector of tables, a number
# a scalar or a vector of scalars of that many bytes ("vector:4"). Unknown fields are skipped.
_SCHEMA: dict[str, dict[int, str]] = {
    "Model": {
        1: "tables:OperatorCode",
        2: "tables:SubGraph",
        3: "vector:1",
        4: "tables:Buffer",
        5: "vector:4",
        6: "tables:Metadata",
        7: "tables:SignatureDef",
    },
    "OperatorCode": {0: "1", 1: "vector:1", 2: "4", 3: "4"},
    "SubGraph": {
        0: "tables:Tensor",
        1: "vector:4",
        2: "vector:4",
        3: "tables:Operator",
        4: "vector:1",
    },
    "Tensor": {
        0: "vector:4",
        1: "1",
        2: "4",
        3: "vector:1",
        4: "table:QuantizationParameters",
        5: "1",
        6: "table:SparsityParameters",
        7: "vector:4",
        8: "1",
    },
    "QuantizationParameters": {
        0: "vector:4",
        1: "vector:4",
        2: "vector:4",
        3: "vector:8",
        5: "table:",
        6: "4",
    },
    "SparsityParameters": {0: "vector:4", 1: "vector:4", 2: "tables:"},
    "Operator": {
        0: "4",
        1: "vector:4",
        2: "vector:4",
        3: "1",
        4: "table:",
        5: "vector:1",
        7: "vector:1",
        8: "vector:4",
        9: "8",
        10: "8",
        12: "table:",
    },
    "Buffer": {0: "vector:1", 1: "8", 2: "8"},
    "Metadata": {0: "vector:1", 1: "4"},
    "SignatureDef": {0: "tables:TensorMap", 1: "tables:TensorMap", 2: "vector:1", 4: "4"},
    "TensorMap": {0: "vector:1", 1: "4"},
    "": {},  # a table whose fields depend on its operator
}


class _DamagedError(Exception):
    """Where the file stops making sense."""


class _Reader:
    """Bounds-checked access to the tables of one FlatBuffer."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.tables = 0

    def unsigned(self, position: int, size: int = 4) -> int:
        if position < 0 or position + size > len(self.data):
            raise _DamagedError(f"an offset points to byte {position} of {len(self.data)}")
        return int.from_bytes(self.data[position : position + size], "little")

    def offset(self, position: int) -> int:
        """The target of the offset stored at `position`."""
        return position + self.unsigned(position)

    def field(self, table: int, number: int, size: int) -> int | None:
        """The position of a table's field, or None where it has its default."""
        vtable = table - struct.unpack("<i", self.unsigned(table).to_bytes(4, "little"))[0]
        vtable_bytes = self.unsigned(vtable, 2)
        table_bytes = self.unsigned(vtable + 2, 2)
        if vtable_bytes < 4 or vtable_bytes % 2 or table_bytes < 4:
            raise _DamagedError(f"no table at byte {table}")
        self.unsigned(vtable + vtable_bytes - 1, 1)
        self.unsigned(table + table_bytes - 1, 1)
        if 4 + 2 * number >= vtable_bytes:
            return None
        where = self.unsigned(vtable + 4 + 2 * number, 2)
        if where and where + size > table_bytes:
            raise _DamagedError(f"a field of the table at byte {table} lies outside of it")
        return table + where if where else None

    def vector(self, table: int, number: int, item_bytes: int) -> tuple[int, int]:
        """`(position of the first item, items)` of a vector field; no items if absent."""
        where = self.field(table, number, 4)
        if where is None:
            return 0, 0
        start = self.offset(where)
        items = self.unsigned(start)
        if start + 4 + items * item_bytes > len(self.data):
            raise _DamagedError(
                f"a vector of {items} x {item_bytes} bytes at byte {start} of {len(self.data)}"
            )
        return start + 4, items

    def table_vector(self, table: int, number: int) -> list[int]:
        start, items = self.vector(table, number, 4)
        return [self.offset(start + 4 * item) for item in range(items)]

    def check(self, table: int, name: str) -> None:
        """Follows everything the schema knows about, once per mention."""
        self.tables += 1
        if self.tables > MAX_TABLES:
            raise _DamagedError(f"more than {MAX_TABLES} tables")
        self.field(table, 0, 0)
        for number, kind in _SCHEMA[name].items():
            what, _, argument = kind.partition(":")
            if what == "tables":
                for entry in self.table_vector(table, number):
                    self.check(entry, argument)
            elif what == "table":
                where = self.field(table, number, 4)
                if where is not None:
                    self.check(self.offset(where), argument)
            elif what == "vector":
                self.vector(table, number, int(argument))
            else:
                self.field(table, number, int(what))

    def root(self) -> int:
        if len(self.data) < 8 or self.data[4:8] != IDENTIFIER:
            raise _DamagedError(
                f"bytes 4-7 are {self.data[4:8]!r}, a .tflite has {IDENTIFIER!r} there"
            )
        return self.offset(0)


def read_model(model: str | os.PathLike[str] | bytes) -> tuple[bytes, str]:
    """A `.tflite`'s bytes, structure checked, and what to call it in messages.

    Args:
        model: the path of a file, or its content.

    Raises:
        SparseBNNError: it is too long, truncated or no `.tflite`.
        OSError: it cannot be read.
    """
    if isinstance(model, bytes):
        data, name = model, "bytes"
    else:
        name = os.fspath(model)
        with Path(model).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise SparseBNNError(
                    f"Expected a .tflite of at most {MAX_BYTES} bytes, got {size} ({name})."
                )
            data = file.read(size)
    reader = _Reader(data)
    try:
        reader.check(reader.root(), "Model")
    except _DamagedError as error:
        raise SparseBNNError(
            f"Expected a .tflite, but {error} ({name}). The file is damaged, cut short or "
            "something else: convert or copy it again."
        ) from None
    return data, name


def custom_ops(data: bytes) -> list[str]:
    """Names of the custom ops a model uses, sorted; `data` as `read_model` returns it."""
    reader = _Reader(data)
    names = set()
    for code in reader.table_vector(reader.root(), 1):
        start, length = reader.vector(code, 1, 1)
        if length:
            names.add(data[start : start + length].decode("utf-8", "replace"))
    return sorted(names)


def tensor_names(data: bytes) -> tuple[list[str], list[str]]:
    """Names of a model's inputs and outputs, in its order; `data` as `read_model` returns it.

    The signature's names where the model has one signature, else those of the tensors, which
    converters make up.
    """
    reader = _Reader(data)
    model = reader.root()
    subgraphs = reader.table_vector(model, 2)
    if not subgraphs:
        return [], []

    def text(table: int, number: int) -> str:
        start, length = reader.vector(table, number, 1)
        return data[start : start + length].decode("utf-8", "replace")

    tensors = reader.table_vector(subgraphs[0], 0)
    signatures = reader.table_vector(model, 7)
    sides = []
    for side in (0, 1):
        start, count = reader.vector(subgraphs[0], 1 + side, 4)
        indices = [reader.unsigned(start + 4 * item) for item in range(count)]
        named = {}
        if len(signatures) == 1:
            for entry in reader.table_vector(signatures[0], side):
                where = reader.field(entry, 1, 4)
                named[reader.unsigned(where) if where is not None else 0] = text(entry, 0)
        sides.append(
            [
                named.get(index) or (text(tensors[index], 3) if index < len(tensors) else "")
                for index in indices
            ]
        )
    return sides[0], sides[1]
