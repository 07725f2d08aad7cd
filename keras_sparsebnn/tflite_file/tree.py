"""A .tflite as a tree of tables that can be changed and written again, nothing lost.

The generated schema classes can only read, and the object API of LiteRT's copy forgets the
alignment of constants. Here a table is a dictionary of what the file says, scalars and vectors
as the very bytes; `read_tree` copies those out, `write_tree` lays them out anew.

Anything that could not be copied faithfully is refused: fields that are not in
`tflite_schema` (they might be offsets) and constants behind the flatbuffer. Every offset and
length is checked against the file, the number of tables and the bytes of all vectors together
are bounded, so any bytes give a tree or a one-line `ModelFileError`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.tflite_file.reader import MAX_FILE_BYTES, ModelFileError
from keras_sparsebnn.tflite_file.schema import SCHEMA

__all__ = ["Table", "read_tree", "write_tree"]

_IDENTIFIER = b"TFL3"

_MAX_TABLES = 200_000
"""A thousand layers have about ten thousand."""

_READ_BUDGET = 8
"""How many times the file's size all vectors together may have: 1 unless some are shared."""

_ALIGNMENT = 16
"""Of constants, and so of the file."""

_SHARED = ("BuiltinOptions", "BuiltinOptions2", "QuantizationParameters")
"""Kinds written once if equal. Not those that programs patch in place, as tensors and buffers;
nor buffers, whose sizes readers add up."""

Value = Union[bytes, "Table", "list[Table]"]


@dataclass
class Table:
    """One table.

    Attributes:
        kind: which of `tflite_schema.SCHEMA`.
        fields: name -> the bytes of a scalar or of a vector's items or of text; a table; or a
            list of tables. What the file leaves out is not there.
    """

    kind: str
    fields: dict[str, Value] = field(default_factory=dict)

    def tables(self, name: str) -> list[Table]:
        """A vector of tables; empty if absent."""
        value = self.fields.get(name, [])
        assert isinstance(value, list)
        return value

    def append(self, name: str, table: Table) -> int:
        """Adds to a vector of tables; returns the number of the new one."""
        self.fields[name] = [*self.tables(name), table]
        return len(self.tables(name)) - 1

    def data(self, name: str) -> bytes:
        """The bytes of a vector or text; empty if absent."""
        value = self.fields.get(name, b"")
        assert isinstance(value, bytes)
        return value

    def integer(self, name: str) -> int:
        """An unsigned scalar, 0 if absent: right where the schema's default is 0."""
        return int.from_bytes(self.data(name), "little")

    def integers(self, name: str) -> npt.NDArray[np.int32]:
        """A vector of int32, a copy."""
        return np.frombuffer(self.data(name), "<i4").astype(np.int32)

    def set_integer(self, name: str, value: int) -> None:
        """Sets an unsigned scalar."""
        (size,) = (int(form) for known, form in SCHEMA[self.kind] if known == name)
        self.fields[name] = value.to_bytes(size, "little")

    def set_integers(self, name: str, values: npt.ArrayLike) -> None:
        """Sets a vector of int32."""
        self.fields[name] = np.asarray(values, "<i4").tobytes()


def _damaged(what: str) -> ModelFileError:
    return ModelFileError(f"Expected a readable .tflite, got {what}. The file is damaged.")


class _Reader:
    def __init__(self, flat: bytes) -> None:
        self.flat = flat
        self.tables = _MAX_TABLES
        self.budget = _READ_BUDGET * len(flat)

    def cut(self, start: int, size: int) -> bytes:
        if start < 0 or start + size > len(self.flat):
            raise _damaged(f"an offset to byte {start} of {len(self.flat)}")
        return self.flat[start : start + size]

    def unsigned(self, start: int, size: int) -> int:
        return int.from_bytes(self.cut(start, size), "little")

    def target(self, start: int) -> int:
        return start + self.unsigned(start, 4)

    def vector(self, start: int, width: int) -> bytes:
        count = self.unsigned(start, 4)
        self.budget -= count * width
        if self.budget < 0:
            raise _damaged(f"a vector of {count} x {width} bytes, more than the file has")
        return self.cut(start + 4, count * width)

    def table(self, start: int, kind: str) -> Table:
        self.tables -= 1
        if self.tables < 0:
            raise _damaged(f"more than {_MAX_TABLES} tables")
        vtable = start - int.from_bytes(self.cut(start, 4), "little", signed=True)
        vtable_bytes, table_bytes = self.unsigned(vtable, 2), self.unsigned(vtable + 2, 2)
        if vtable_bytes < 4 or vtable_bytes % 2:
            raise _damaged(f"no table at byte {start}")
        places = np.frombuffer(self.cut(vtable + 4, vtable_bytes - 4), "<u2").tolist()
        table = Table(kind)
        for number, place in enumerate(places):
            if place == 0:
                continue
            if number >= len(SCHEMA[kind]):
                raise ModelFileError(
                    f"Expected a .tflite of a known schema, got field {number} in a table of "
                    f"kind {kind}. A newer TFLite has written it, or it is damaged."
                )
            name, form = SCHEMA[kind][number]
            size = int(form) if form.isdigit() else 4
            if place < 4 or place + size > table_bytes:
                raise _damaged(f"a field outside of the table at byte {start}")
            if form.startswith("("):
                form = self.member(form[1:-1], table.integer(f"{name}_type"))
            table.fields[name] = self.value(start + place, form)
        if kind == "Buffer" and (table.integer("offset") > 1 or table.integer("size") > 1):
            raise ModelFileError(
                "Expected constants inside the flatbuffer, got some behind it. Files over "
                "2 GiB cannot be rewritten."
            )
        return table

    def member(self, union: str, number: int) -> str:
        kind = f"{union}/{number}"
        if kind not in SCHEMA:
            raise ModelFileError(
                f"Expected a .tflite of a known schema, got {union} of type {number}. A newer "
                "TFLite has written it, or it is damaged."
            )
        return kind

    def value(self, start: int, form: str) -> Value:
        if form.isdigit():
            return self.cut(start, int(form))
        target = self.target(start)
        if form == "str":
            return self.vector(target, 1)
        if not form.startswith("["):
            return self.table(target, form)
        item = form[1:-1].partition(":")[0]
        if item.isdigit():
            return self.vector(target, int(item))
        offsets = np.frombuffer(self.vector(target, 4), "<u4").tolist()
        places = range(target + 4, target + 4 + 4 * len(offsets), 4)
        return [self.table(p + o, item) for p, o in zip(places, offsets, strict=True)]


def read_tree(flat: bytes) -> Table:
    """The root table, of kind Model.

    Raises:
        ModelFileError: truncated, damaged, or of a newer schema.
    """
    if len(flat) < 8 or flat[4:8] != _IDENTIFIER:
        raise _damaged("no identifier TFL3 at byte 4")
    reader = _Reader(flat)
    return reader.table(reader.target(0), "Model")


class _Writer:
    """Lays out back to front, so that offsets, which are unsigned, find their target behind.

    Places are counted from the end of the file until its length is known.
    """

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.known: dict[tuple[object, ...], int] = {}

    def place(self, chunk: bytes, alignment: int, ahead: int = 0) -> int:
        """Puts `chunk` first, its byte number `ahead` aligned; returns the chunk's place."""
        padding = -(self.size + len(chunk) - ahead) % alignment
        self.chunks += [bytes(padding), chunk]
        self.size += padding + len(chunk)
        return self.size

    def vector(self, items: bytes, width: int, alignment: int, tail: bytes = b"") -> int:
        count = (len(items) // width).to_bytes(4, "little")
        return self.place(count + items + tail, max(4, alignment), ahead=4)

    def once(self, items: bytes, width: int, tail: bytes = b"") -> int:
        """A vector like one before is that one."""
        key = ("vector", items, width, tail)
        if key not in self.known:
            self.known[key] = self.vector(items, width, width, tail)
        return self.known[key]

    def value(self, value: Value, form: str) -> int:
        if isinstance(value, Table):
            return self.table(value)
        if isinstance(value, list):
            places = [self.table(table) for table in reversed(value)][::-1]
            # From an item's own place, 4 bytes further on for each, to its table.
            end = self.size + -self.size % 4 + 4 * len(places)
            offsets = [end - 4 * i - place for i, place in enumerate(places)]
            return self.vector(np.array(offsets, "<u4").tobytes(), 4, 4)
        if form == "str":
            return self.once(value, 1, b"\0")
        width, _, alignment = form[1:-1].partition(":")
        if alignment:
            return self.vector(value, int(width), int(alignment))
        return self.once(value, int(width))

    def table(self, table: Table) -> int:
        inline: dict[int, tuple[int, bytes | int]] = {}
        # Back to front here too, so that children lie in the order of their fields.
        for number, (name, form) in reversed([*enumerate(SCHEMA[table.kind])]):
            if name not in table.fields:
                continue
            value = table.fields[name]
            if form.isdigit():
                assert isinstance(value, bytes)
                inline[number] = int(form), value
            else:
                inline[number] = 4, self.value(value, form)
        if table.kind.partition("/")[0] not in _SHARED:
            return self.lay_out(inline)
        key = (table.kind, *sorted(inline.items()))
        if key not in self.known:
            self.known[key] = self.lay_out(inline)
        return self.known[key]

    def lay_out(self, inline: dict[int, tuple[int, bytes | int]]) -> int:
        # The offset to the vtable takes bytes 0 to 3; 4-byte fields next fill up to 8.
        order = sorted(inline, key=lambda number: (4, 8, 2, 1).index(inline[number][0]))
        at: dict[int, int] = {}
        length = 4
        for number in order:
            size = inline[number][0]
            at[number] = length + -length % size
            length = at[number] + size
        slots = [at.get(number, 0) for number in range(max(inline, default=-1) + 1)]
        header = np.array([4 + 2 * len(slots), length, *slots], "<u2").tobytes()
        key = ("vtable", header)
        if key not in self.known:
            self.known[key] = self.place(header, 2)
        alignment = max([4, *(size for size, _ in inline.values())])
        start = self.size + length
        start += -start % alignment
        body = bytearray(length)
        # Signed: the vtable may lie on either side.
        body[:4] = (self.known[key] - start).to_bytes(4, "little", signed=True)
        for number, (size, value) in inline.items():
            if isinstance(value, int):
                value = (start - at[number] - value).to_bytes(4, "little")
            body[at[number] : at[number] + size] = value
        placed = self.place(bytes(body), alignment)
        assert placed == start
        return placed


def write_tree(root: Table) -> bytes:
    """The file; equal trees give equal bytes.

    Raises:
        ModelFileError: it would be longer than 2 GiB.
    """
    writer = _Writer()
    place = writer.table(root)
    header = 8 + -(writer.size + 8) % _ALIGNMENT
    total = header + writer.size
    if total > MAX_FILE_BYTES:
        raise ModelFileError(
            f"Expected a .tflite of at most {MAX_FILE_BYTES} bytes, got {total}. "
            "Leave larger files as they are."
        )
    start = (total - place).to_bytes(4, "little") + _IDENTIFIER
    return b"".join([start, bytes(header - 8), *reversed(writer.chunks)])
