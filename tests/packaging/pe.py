"""Reads what a loader reads of a 64-bit Windows library."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

IS_LIBRARY = 0x2000
EXPORTS, IMPORTS = 0, 1  # places in the directory


@dataclass
class Pe:
    """As much of a PE file as these tests ask for."""

    machine: int
    is_library: bool
    needed: list[str] = field(default_factory=list)
    exported: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Pe:
        data = path.read_bytes()
        (header,) = struct.unpack_from("<I", data, 0x3C)
        assert data[header : header + 4] == b"PE\0\0"
        machine, count, _, _, _, size, flags = struct.unpack_from("<HHIIIHH", data, header + 4)
        optional = header + 24
        assert struct.unpack_from("<H", data, optional) == (0x20B,)
        sections = [
            struct.unpack_from("<4I", data, optional + size + 40 * index + 8)
            for index in range(count)
        ]

        def place(address: int) -> int:
            for length, start, held, offset in sections:
                if start <= address < start + max(length, held):
                    return int(address - start + offset)
            raise AssertionError(f"{address:#x} is in no section")

        def text(address: int) -> str:
            start = place(address)
            return data[start : data.index(b"\0", start)].decode()

        def directory(index: int) -> int:
            return int(struct.unpack_from("<I", data, optional + 112 + 8 * index)[0])

        file = cls(machine, bool(flags & IS_LIBRARY))
        if address := directory(EXPORTS):
            names, pointer = struct.unpack_from("<I4xI", data, place(address) + 24)
            pointers = struct.unpack_from(f"<{names}I", data, place(pointer))
            file.exported = set(map(text, pointers))
        if address := directory(IMPORTS):
            file.needed = [text(name) for name in _imports(data, place(address))]
        return file


def _imports(data: bytes, at: int) -> Iterator[int]:
    """Addresses of the names of libraries."""
    while name := struct.unpack_from("<12xI", data, at)[0]:
        yield name
        at += 20
