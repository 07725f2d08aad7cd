"""Tables to bytes: equal tables give equal bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keras_sparsebnn.tflite_file.reader import IDENTIFIER, MAX_FILE_BYTES, ModelFileError
from keras_sparsebnn.tflite_file.schema import FAR, SCHEMA, Field
from keras_sparsebnn.tflite_file.table import Table, Value

__all__ = ["write_tables"]

ALIGNMENT = 16
"""Alignment of constants in bytes, and so of the file's length."""

_SHARED = {"QuantizationParameters", *(kind for kind in SCHEMA if kind.endswith("Options"))}
"""Kinds of which equal tables are written once. Not tensors and buffers: programs patch them in
place, and readers add up the sizes of buffers."""

Bytes = bytes | memoryview


class _Writer:
    """Lays out back to front, because offsets are unsigned: a target lies behind its offset.

    Places are counted from the end of the file until its length is known.
    """

    def __init__(self, far: dict[int, tuple[int, int]]) -> None:
        self.far = far
        self.chunks: list[Bytes] = []
        self.size = 0
        self.known: dict[tuple[object, ...], int] = {}

    def place(self, *chunks: Bytes, alignment: int, ahead: int = 0) -> int:
        """Puts `chunks` in front, with byte `ahead` of them aligned; returns their place."""
        length = sum(map(len, chunks))
        padding = -(self.size + length - ahead) % alignment
        self.chunks += [bytes(padding), *reversed(chunks)]
        self.size += padding + length
        return self.size

    def vector(self, items: Bytes, count: int, alignment: int) -> int:
        header = count.to_bytes(4, "little")
        return self.place(header, items, alignment=max(4, alignment), ahead=4)

    def once(self, items: bytes, count: int, alignment: int) -> int:
        """A vector; equal ones are written once."""
        key = (items, count, alignment)
        if key not in self.known:
            self.known[key] = self.vector(*key)
        return self.known[key]

    def value(self, value: Value, kind: str, field: Field) -> int:
        if isinstance(value, Table):
            return self.table(value)
        if isinstance(value, list):
            places = [self.table(table) for table in reversed(value)][::-1]
            # An offset counts from its own place, 4 bytes further on for each, to its table.
            end = self.size + -self.size % 4 + 4 * len(places)
            offsets = [end - 4 * i - place for i, place in enumerate(places)]
            return self.vector(np.array(offsets, "<u4").tobytes(), len(places), 4)
        if isinstance(value, bytes):
            return self.once(value + b"\0", len(value), 1)
        assert isinstance(value, np.ndarray)
        if (kind, field.name) == ("Buffer", "data"):
            return self.vector(value.data, len(value), ALIGNMENT)
        return self.once(value.tobytes(), len(value), value.itemsize)

    def table(self, table: Table) -> int:
        _refuse_unknown(table)
        fields = table.fields
        if id(table) in self.far:
            vector, *names = FAR[table.kind]
            fields = {**fields, **dict(zip(names, self.far[id(table)], strict=True))}
            del fields[vector]
        inline: dict[int, tuple[int, bytes | int]] = {}
        # Back to front here too, so that children lie in the order of their fields.
        for number, field in reversed([*enumerate(SCHEMA[table.kind])]):
            if field.name in fields:
                value = fields[field.name]
                if field.scalar and not field.vector:
                    inline[number] = field.bytes, _scalar(value, field)
                else:
                    inline[number] = 4, self.value(value, table.kind, field)
        if table.kind not in _SHARED:
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
            self.known[key] = self.place(header, alignment=2)
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
        placed = self.place(bytes(body), alignment=alignment)
        assert placed == start
        return placed

    def flatbuffer(self, root: Table) -> list[Bytes]:
        place = self.table(root)
        header = 8 + -(self.size + 8) % ALIGNMENT
        start = (header + self.size - place).to_bytes(4, "little") + IDENTIFIER
        return [start, bytes(header - 8), *reversed(self.chunks)]


def _scalar(value: Value, field: Field) -> bytes:
    if isinstance(value, int):
        return value.to_bytes(field.bytes, "little", signed=field.type[1] == "i")
    return np.array(value, field.type).tobytes()


def _refuse_unknown(table: Table) -> None:
    if table.unknown is not None:
        raise ModelFileError(
            f"Expected a .tflite of a known schema, got field {table.unknown} in a table of "
            f"kind {table.kind}. It comes from a newer TFLite, or is damaged."
        )


def _far_tables(root: Table) -> Iterator[Table]:
    candidates = [*root.tables("buffers")]
    for graph in root.tables("subgraphs"):
        candidates += graph.tables("operators")
    for table in candidates:
        if table.far and len(table.vector(FAR[table.kind][0])) > 1:
            yield table


def write_tables(root: Table) -> bytes:
    """The flatbuffer, aligned, and behind it the vectors that are `far`.

    Raises:
        ModelFileError: it would be longer than 2 GiB, or has fields that are not in the schema.
    """
    far = [*_far_tables(root)]
    # The length of the flatbuffer does not depend on the values of the offsets.
    at = dict.fromkeys(map(id, far), (0, 0))
    chunks = _Writer(at).flatbuffer(root)
    if far:
        behind: list[Bytes] = []
        end = sum(map(len, chunks))
        for table in far:
            vector = table.vector(FAR[table.kind][0])
            at[id(table)] = end, len(vector)
            behind += [vector.data, bytes(-len(vector) % ALIGNMENT)]
            end += len(vector) + -len(vector) % ALIGNMENT
        chunks = [*_Writer(at).flatbuffer(root), *behind]
    size = sum(map(len, chunks))
    if size > MAX_FILE_BYTES:
        raise ModelFileError(
            f"Expected a .tflite of at most {MAX_FILE_BYTES} bytes, got {size}. "
            "Leave larger files as they are."
        )
    return b"".join(chunks)
