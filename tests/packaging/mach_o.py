"""Reads what a loader reads of a Mach-O file, of one 64-bit architecture."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

MAGIC = 0xFEEDFACF
SYMTAB, LOAD_DYLIB, ID_DYLIB, CODE_SIGNATURE, BUILD_VERSION = 0x2, 0xC, 0xD, 0x1D, 0x32
EXTERNAL, PRIVATE_EXTERNAL, TYPE, DEFINED = 0x01, 0x10, 0x0E, 0x0E


@dataclass
class MachO:
    """As much of a Mach-O file as these tests ask for."""

    machine: int
    kind: int
    name: str = ""
    needed: list[str] = field(default_factory=list)
    oldest_system: tuple[int, int] = (0, 0)
    signed: bool = False
    exported: set[str] = field(default_factory=set)
    imported: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> MachO:
        data = path.read_bytes()
        magic, machine, _, kind, count, _, _, _ = struct.unpack_from("<8I", data)
        assert magic == MAGIC
        file = cls(machine, kind)
        at = 32
        for _ in range(count):
            command, size = struct.unpack_from("<2I", data, at)
            if command in (LOAD_DYLIB, ID_DYLIB):
                (start,) = struct.unpack_from("<I", data, at + 8)
                name = data[at + start : at + size].split(b"\0")[0].decode()
                if command == ID_DYLIB:
                    file.name = name
                else:
                    file.needed.append(name)
            elif command == BUILD_VERSION:
                (version,) = struct.unpack_from("<I", data, at + 12)
                file.oldest_system = (version >> 16, version >> 8 & 0xFF)
            elif command == CODE_SIGNATURE:
                file.signed = True
            elif command == SYMTAB:
                file._read_symbols(data, *struct.unpack_from("<4I", data, at + 8))
            at += size
        return file

    def _read_symbols(self, data: bytes, start: int, count: int, names: int, _: int) -> None:
        for at in range(start, start + 16 * count, 16):
            name, kind = struct.unpack_from("<IB", data, at)
            if kind & EXTERNAL and not kind & PRIVATE_EXTERNAL:
                text = data[names + name : data.index(b"\0", names + name)].decode()
                held = self.exported if kind & TYPE == DEFINED else self.imported
                held.add(text)
