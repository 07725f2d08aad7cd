r"""FlexBuffer maps: the options of custom operators.

From the end: the root's width in bytes, its type, its value. A map's value is an offset back to

    keys_offset keys_width size | value_0 ... value_n-1 | type_0 ... type_n-1

all numbers of one width, 1, 2, 4 or 8 bytes, types one byte each: `kind << 2 | log2(width)`.
`keys_offset` leads back to a vector of the same kind, of offsets to the keys' texts, without
types. Offsets count back from their own place.

Reference: FlexBuffers, "internals", in the documentation of FlatBuffers 25.12.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from keras_sparsebnn.tflite_file.reader import damaged

__all__ = ["Options", "read_map", "write_map"]

Options = dict[str, "int | float | str | bool"]

_INT, _UINT, _FLOAT, _STRING = 1, 2, 3, 5
_INDIRECT = {6: _INT, 7: _UINT, 8: _FLOAT}
_MAP, _BOOL = 9, 26
_WIDTHS = (1, 2, 4, 8)
_FLOATS = {2: "<e", 4: "<f", 8: "<d"}


class _Map:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def cut(self, start: int, size: int) -> bytes:
        if start < 0 or start + size > len(self.data):
            raise damaged(f"options with an offset to byte {start} of {len(self.data)}")
        return self.data[start : start + size]

    def number(self, start: int, width: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.cut(start, width), "little", signed=signed)

    def back(self, start: int, width: int) -> int:
        """The target of the offset at `start`."""
        return start - self.number(start, width)

    def value(self, start: int, width: int, packed: int) -> int | float | str | bool | None:
        """A scalar or text; None for anything else."""
        kind = packed >> 2
        if kind in _INDIRECT:
            start, width, kind = self.back(start, width), 1 << (packed & 3), _INDIRECT[kind]
        if kind in (_INT, _UINT):
            return self.number(start, width, signed=kind == _INT)
        if kind == _BOOL:
            return self.number(start, width) != 0
        if kind == _FLOAT and width in _FLOATS:
            value: float = struct.unpack(_FLOATS[width], self.cut(start, width))[0]
            return value
        if kind == _STRING:
            start, width = self.back(start, width), 1 << (packed & 3)
            size = self.number(start - width, width)
            return self.cut(start, size).decode("utf-8", "replace")
        return None

    def key(self, start: int) -> str:
        self.cut(start, 1)
        end = self.data.find(b"\0", start)
        return self.cut(start, end - start).decode("utf-8", "replace") if end >= 0 else ""

    def root(self) -> Options:
        width, packed = self.number(len(self.data) - 1, 1), self.number(len(self.data) - 2, 1)
        if packed >> 2 != _MAP or width not in _WIDTHS:
            return {}
        start, width = self.back(len(self.data) - 2 - width, width), 1 << (packed & 3)
        size = self.number(start - width, width)
        keys_width = self.number(start - 2 * width, width)
        keys = self.back(start - 3 * width, width)
        if size > len(self.data) or keys_width not in _WIDTHS:
            raise damaged(f"{size} options with keys of {keys_width} bytes")
        result: Options = {}
        for i in range(size):
            packed = self.number(start + size * width + i, 1)
            value = self.value(start + i * width, width, packed)
            if value is not None:
                result[self.key(self.back(keys + i * keys_width, keys_width))] = value
        return result


def read_map(data: bytes) -> Options:
    """The scalars and texts of a map, by name; empty if `data` is something else.

    Raises:
        ModelFileError: damaged.

    Example:
        >>> read_map(write_map({"stride": 2, "padding": -1}))
        {'padding': -1, 'stride': 2}
    """
    return _Map(data).root() if len(data) >= 3 else {}


def _width(value: int) -> int:
    """Bytes of an unsigned integer."""
    return next(width for width in _WIDTHS if value < 1 << 8 * width)


def _packed(kind: int, width: int) -> int:
    return kind << 2 | _WIDTHS.index(width)


class _Writer:
    """Like FlatBuffers' own builder, byte for byte."""

    def __init__(self) -> None:
        self.data = bytearray()

    def align(self, width: int) -> None:
        self.data += bytes(-len(self.data) % width)

    def reach(self, target: int, place: int) -> int:
        """The width of an offset to `target` from a place `place` items further on."""
        end = len(self.data)
        return next(w for w in _WIDTHS if _width(end + -end % w + place * w - target) <= w)

    def number(self, value: int, width: int) -> None:
        self.data += (value % (1 << 8 * width)).to_bytes(width, "little")

    def offset(self, target: int, width: int) -> None:
        self.number(len(self.data) - target, width)

    def keys(self, targets: list[int]) -> tuple[int, int]:
        """Writes the vector of the keys; returns its `(place, width)`."""
        reach = [self.reach(target, 1 + i) for i, target in enumerate(targets)]
        width = max([_width(len(targets)), *reach])
        self.align(width)
        self.number(len(targets), width)
        place = len(self.data)
        for target in targets:
            self.offset(target, width)
        return place, width

    def values(self, values: list[int], keys: int, keys_width: int) -> tuple[int, int]:
        sizes = [_width(2 * v if v >= 0 else ~(2 * v)) if _is_int(v) else 8 for v in values]
        width = max([_width(len(values)), self.reach(keys, 0), *sizes])
        self.align(width)
        self.offset(keys, width)
        self.number(keys_width, width)
        self.number(len(values), width)
        place = len(self.data)
        for value in values:
            self.number(value, width)
        self.data += bytes(_packed(_INT if _is_int(v) else _UINT, width) for v in values)
        return place, width


def _is_int(value: int) -> bool:
    return value < 1 << 63


def write_map(options: Mapping[str, int]) -> bytes:
    """A map of integers of up to 64 bits, byte for byte as LCE's converter writes it."""
    writer = _Writer()
    targets = []
    names = sorted(options, key=str.encode)
    for name in names:
        targets.append(len(writer.data))
        writer.data += name.encode() + b"\0"
    place, width = writer.values([options[name] for name in names], *writer.keys(targets))
    root = writer.reach(place, 0)
    writer.align(root)
    writer.offset(place, root)
    writer.data += bytes([_packed(_MAP, width), root])
    return bytes(writer.data)
