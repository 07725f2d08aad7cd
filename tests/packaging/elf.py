"""Reads what a loader reads of an ELF file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SYMTAB, DYNAMIC, DYNSYM, GNU_VERNEED = 2, 6, 11, 0x6FFFFFFE  # kinds of sections
WEAK, FUNCTION = 2, 2  # of a symbol: its binding, its type
NEEDED, SONAME, RPATH, RUNPATH = 1, 14, 15, 29  # tags of the dynamic section
LOAD, TLS = 1, 7  # kinds of segments


class Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    alignment: int


def _segments(data: bytes, wide: bool) -> Iterator[Segment]:
    (start,) = struct.unpack_from("<Q" if wide else "<I", data, 32 if wide else 28)
    size, count = struct.unpack_from("<HH", data, 54 if wide else 42)
    if not count:  # an object file
        return
    for at in range(start, start + size * count, size):
        if wide:
            kind, _, offset, address, _, _, _, alignment = struct.unpack_from("<2I6Q", data, at)
        else:
            kind, offset, address, _, _, _, _, alignment = struct.unpack_from("<8I", data, at)
        yield Segment(kind, offset, address, alignment)


@dataclass
class Elf:
    """As much of an ELF file as these tests ask for."""

    bits: int
    machine: int
    soname: str = ""
    needed: list[str] = field(default_factory=list)
    search_paths: list[str] = field(default_factory=list)
    exported: set[str] = field(default_factory=set)
    imported: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    weak_functions: set[str] = field(default_factory=set)  # of an object file
    segments: list[Segment] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Elf:
        data = path.read_bytes()
        assert data[:4] == b"\x7fELF"
        assert data[5] == 1, "little-endian"
        wide = data[4] == 2
        elf = cls(64 if wide else 32, struct.unpack_from("<H", data, 18)[0])
        word = "Q" if wide else "I"
        (sections_at,) = struct.unpack_from(f"<{word}", data, 40 if wide else 32)
        size, count = struct.unpack_from("<HH", data, 58 if wide else 46)
        elf.segments = [*_segments(data, wide)]
        sections = []
        for index in range(count):
            at = sections_at + index * size
            _, kind, _, _, offset, length, link = struct.unpack_from(
                f"<II{4 * word}I", data, at
            )
            sections.append((kind, offset, length, link))

        def text(strings: int, at: int) -> str:
            start = sections[strings][1] + at
            return data[start : data.index(b"\0", start)].decode()

        for kind, offset, length, link in sections:
            if kind == DYNAMIC:
                for tag, value in struct.iter_unpack(
                    f"<2{word}", data[offset : offset + length]
                ):
                    if tag == NEEDED:
                        elf.needed.append(text(link, value))
                    elif tag == SONAME:
                        elf.soname = text(link, value)
                    elif tag in (RPATH, RUNPATH):
                        elf.search_paths.append(text(link, value))
            elif kind == DYNSYM:
                layout = "<IBBHQQ" if wide else "<IIIBBH"
                for row in struct.iter_unpack(layout, data[offset : offset + length]):
                    name, section = row[0], row[3] if wide else row[5]
                    if name:
                        names = elf.exported if section else elf.imported
                        names.add(text(link, name))
            elif kind == SYMTAB:
                layout = "<IBBHQQ" if wide else "<IIIBBH"
                for row in struct.iter_unpack(layout, data[offset : offset + length]):
                    name, info, section = row[0], row[1 if wide else 3], row[3 if wide else 5]
                    if section and info == WEAK << 4 | FUNCTION:
                        elf.weak_functions.add(text(link, name))
            elif kind == GNU_VERNEED:
                at, more = offset, True
                while more:
                    _, auxiliaries, _, first, following = struct.unpack_from("<HHIII", data, at)
                    entry = at + first
                    for _ in range(auxiliaries):
                        _, _, _, name, step = struct.unpack_from("<IHHII", data, entry)
                        elf.versions.add(text(link, name))
                        entry += step
                    at, more = at + following, following != 0
        return elf
