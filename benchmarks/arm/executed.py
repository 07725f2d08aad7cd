"""What count_plugin.c has recorded: which instructions ran, in which segment of a run."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arm.build import compiled
from benchmarks.arm.disassembly import disassemble


class RecordError(RuntimeError):
    """The record is not whole."""


@dataclass(frozen=True)
class Block:
    """A translated block: where it lies, and its machine code."""

    address: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        blocks: by number.
        counts: for each segment how often each block ran. The first segment begins with the
            run, every other with a question for the time: a group of the delegate's nodes.
        windows: pieces of the stream, as (segment, block).
    """

    blocks: Mapping[int, Block]
    counts: Sequence[Counter[int]]
    windows: Sequence[Sequence[tuple[int, int]]]

    def executed(self) -> int:
        """Instructions in all."""
        return sum(
            n * len(self.blocks[block].words)
            for each in self.counts
            for block, n in each.items()
        )


def parse(lines: Iterable[str]) -> Record:
    """Reads what the plugin wrote; its head describes the lines.

    Raises:
        RecordError: a line is unknown, or nothing was recorded.
    """
    blocks: dict[int, Block] = {}
    counts: list[Counter[int]] = []
    windows = []
    for line in lines:
        kind, *fields = line.split()
        if kind == "tb":
            blocks[int(fields[0])] = Block(int(fields[1], 16), tuple(fields[2:]))
        elif kind == "segment":
            counts.append(Counter())
        elif kind == "count":
            counts[-1][int(fields[0])] += int(fields[1])
        elif kind == "window":
            pairs = (field.split(":") for field in fields)
            windows.append([(int(segment), int(block)) for segment, block in pairs])
        else:
            raise RecordError(f"Expected a line of count_plugin.c, got {line.strip()!r}.")
    if not counts or not blocks:
        raise RecordError("Expected marks (getppid) in the program, got none.")
    return Record(blocks, counts, windows)


@dataclass(frozen=True)
class Maps:
    """Where shared libraries lie in memory: (first address, end, offset, name)."""

    ranges: Sequence[tuple[int, int, int, str]]

    def library(self, address: int) -> str:
        """The name of the file that an address is mapped from; "?" if from none."""
        for first, end, _, name in self.ranges:
            if first <= address < end:
                return name
        return "?"


def assembly(words: Iterable[str], folder: Path | None = None) -> dict[str, str]:
    """Text that llvm-mca takes, of each machine word in hexadecimal."""
    unique = sorted(set(words))
    with tempfile.TemporaryDirectory() as temporary:
        where = folder or Path(temporary)
        source = where / "words.s"
        source.write_text(
            "words:\n" + "".join(f".inst 0x{word}\n" for word in unique), encoding="utf-8"
        )
        shown = disassemble(compiled(source, where, []))
    if len(shown) != len(unique):
        raise RecordError(f"Expected {len(unique)} instructions, got {len(shown)}.")
    return {word: each.text for word, each in zip(unique, shown, strict=True)}
