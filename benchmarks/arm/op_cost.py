"""Cycles of one whole convolution on modelled ARM cores, everything in it counted.

`delegate/arm/kernel_cost.cc`, linked with the delegate's compiled kernels, runs in an emulator
that records every basic block it executes: an exact instruction stream. llvm-mca then schedules
windows of this stream, taken at even distances, so that it sees each loop with the true number
of turns and with what comes before and after it. The cycles of the whole are the number of
instructions times the windows' cycles per instruction.

A window begins and ends with an empty pipeline, which does not happen in the stream. Its first
instructions therefore only warm up: they are scheduled alone as well, and the difference of the
two times is what the others cost.
"""

from __future__ import annotations

import json
import math
import subprocess
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.arm.block_trace import BlockTrace, address_of, output_of, trace
from benchmarks.arm.disassembly import Instruction, disassemble
from benchmarks.arm.mca import CORES, single_cycles, tool

BEGIN, END, AFTER = "KernelCostBegin", "KernelCostEnd", "exit"
# Functions that call the phases and are inlined around them.
_SMALLEST_PHASE = 0.003  # of all instructions
WARM_UP = 500
"""First instructions of a window; more than any modelled core has under way."""
_DRIVERS = ("Run", "RunBlock", "ParallelFor", "operator()", "__invoke", "_FUN")


class Executable(Protocol):
    """A run of a program: its arguments, and how many triples it does, see `Case`."""

    @property
    def arguments(self) -> list[str]: ...

    @property
    def triples(self) -> int: ...


@dataclass(frozen=True)
class Case:
    """One 3x3 convolution; height and width are the output's, 512 codewords a dense filter."""

    channels_in: int
    channels_out: int
    codewords: int
    height: int
    width: int
    stride: int = 1
    kernel: str = "auto"
    output: str = "float32"

    @property
    def triples(self) -> int:
        """Pairs of input and output channel, for each output pixel."""
        return self.channels_in * self.channels_out * self.height * self.width

    @property
    def arguments(self) -> list[str]:
        numbers = (self.channels_in, self.channels_out, self.codewords, self.height, self.width)
        return [*map(str, (*numbers, self.stride)), self.kernel, self.output]


class Program:
    """The compiled test program and its machine code."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.instructions = disassemble(path)
        self._index = {x.address: i for i, x in enumerate(self.instructions)}

    def trace(self, case: Executable) -> BlockTrace:
        marks = (address_of(name, self.instructions) for name in (BEGIN, END, AFTER))
        return trace(self.path, case.arguments, *marks)

    def chosen_kernel(self, case: Case) -> str:
        """The kernel that `kernel=auto` takes for a case."""
        arguments = replace(case, kernel="auto").arguments
        after = address_of(AFTER, self.instructions)
        return output_of(self.path, arguments, after).split()[0]

    def block(self, address: int, size: int) -> Sequence[Instruction]:
        first = self._index[address]
        return self.instructions[first : first + size // 4]

    def phases(self, addresses: Sequence[int]) -> list[str]:
        """The outermost function at each address that is not merely a driver, even inlined."""
        command = [tool("llvm-symbolizer"), f"--obj={self.path}", "--output-style=JSON"]
        done = subprocess.run(
            [*command, "--inlines"],
            input="\n".join(map(hex, addresses)),
            capture_output=True,
            text=True,
            check=True,
        )
        found = [_phase(json.loads(line)["Symbol"]) for line in done.stdout.splitlines()]
        return found


def _phase(frames: Sequence[Mapping[str, Any]]) -> str:
    name = "?"
    for frame in reversed(frames):  # the outermost first
        name = _bare(frame["FunctionName"])
        if name not in _DRIVERS:
            return name
    return name


def _bare(function: str) -> str:
    """`AddChunk` of `void ns::Type<A>::AddChunk<32>(int) const`."""
    if "operator()" in function or "lambda" in function:
        return "operator()"
    depth, kept = 0, ""
    for letter in function.replace("(anonymous namespace)", "anonymous"):
        depth += (letter in "<(") - (letter in ">)")
        if letter == "(" and depth == 1:
            break
        if depth == 0 and letter != ">":
            kept += letter
    return kept.split()[-1].rpartition("::")[2] if kept.strip() else function


@dataclass(frozen=True)
class Window:
    """Consecutive instructions of the stream, after some that warm up."""

    warm_up: str
    text: str
    instructions: Counter[str]  # by phase

    @property
    def size(self) -> int:
        return self.instructions.total()


def windows(
    program: Program, run: BlockTrace, phase: Mapping[int, str], count: int, size: int
) -> list[Window]:
    """`count` windows of at least `size` instructions, one in the middle of each equal part."""
    ends = list(accumulate(run.sizes[start] // 4 for start in run.starts))
    count = max(1, min(count, ends[-1] // (size + WARM_UP)))
    found = []
    for k in range(count):
        middle = (k + 0.5) * ends[-1] / count
        block = bisect_right(ends, max(0.0, middle - size / 2 - WARM_UP))
        lines: tuple[list[str], list[str]] = ([], [])
        phases: Counter[str] = Counter()
        while len(lines[1]) < size and block < len(ends):
            start = run.starts[block]
            warm = len(lines[0]) >= WARM_UP
            lines[warm].extend(x.text for x in program.block(start, run.sizes[start]))
            if warm:
                phases[phase[start]] += run.sizes[start] // 4
            block += 1
        found.append(Window("\n".join(lines[0]), "\n".join(lines[1]), phases))
    return found


def _cycles(taken: Sequence[Window], core: str) -> list[int]:
    """Of each window, without its warming up."""
    sources = {f"warm{k}": w.warm_up for k, w in enumerate(taken)}
    sources |= {f"all{k}": f"{w.warm_up}\n{w.text}" for k, w in enumerate(taken)}
    shown = single_cycles(sources, core)
    return [shown[f"all{k}"] - shown[f"warm{k}"] for k in range(len(taken))]


def _cycles_by_phase(
    taken: Sequence[Window], cycles: Sequence[int], executed: Mapping[str, int]
) -> dict[str, float]:
    """Least squares: cycles of a window = sum of instructions of a phase times its cost."""
    names = list(executed)
    matrix = np.array([[window.instructions[name] for name in names] for window in taken])
    mean = sum(cycles) / sum(window.size for window in taken)
    # A weak pull to the mean decides about phases that hardly any window shows.
    pull = np.eye(len(names)) * matrix.max() / 10
    left = np.concatenate([matrix, pull])
    right = np.concatenate([np.array(cycles), pull @ np.full(len(names), mean)])
    cost = np.linalg.lstsq(left, right, rcond=None)[0]
    return {name: float(c) * executed[name] for name, c in zip(names, cost, strict=True)}


@dataclass(frozen=True)
class Estimate:
    """Cycles of a whole stream: from its windows.

    Attributes:
        cycles: of all instructions.
        relative_error: standard error of the sampling.
        by_phase: cycles of each phase.
    """

    cycles: float
    relative_error: float
    by_phase: Mapping[str, float]


def estimate(taken: Sequence[Window], executed: Mapping[str, int], core: str) -> Estimate:
    """Schedules windows on a core.

    Args:
        taken: from even distances of the stream.
        executed: instructions of each phase in the whole stream.
        core: one of `CORES`.
    """
    cycles = _cycles(taken, core)
    rates = np.array([c / w.size for c, w in zip(cycles, taken, strict=True)])
    error = 0.0
    if len(taken) > 1:
        error = float(rates.std(ddof=1) / math.sqrt(len(taken)) / rates.mean())
    total = sum(executed.values()) * sum(cycles) / sum(w.size for w in taken)
    return Estimate(total, error, _cycles_by_phase(taken, cycles, executed))


def cost(
    program: Program,
    case: Executable,
    *,
    count: int = 100,
    size: int = 2500,
    models: Sequence[str] = CORES,
) -> dict[str, Any]:
    """Cycles of a case on every core.

    Args:
        program: see `Program`.
        case: what to run.
        count: windows that llvm-mca schedules.
        size: their length, in instructions.
        models: the cores.

    Returns:
        `kernel`, what ran; `instructions`; for each core `cycles`, `per_triple` (cycles per
        input channel, output channel and pixel), `relative_error` (standard error of the
        sampling); `phases`, instructions and cycles per core of each part of the kernel.
    """
    run = program.trace(case)
    counts = run.counts()
    starts = list(counts)
    phase = dict(zip(starts, program.phases(starts), strict=True))
    work = {start: n * run.sizes[start] // 4 for start, n in counts.items()}
    total = sum(work.values())
    shares: Counter[str] = Counter()
    for start, n in work.items():
        shares[phase[start]] += n
    executed: Counter[str] = Counter()
    for start, n in work.items():
        if shares[phase[start]] < _SMALLEST_PHASE * total:
            phase[start] = "others"
        executed[phase[start]] += n
    taken = windows(program, run, phase, count, size)
    cores = {}
    phases: dict[str, dict[str, Any]] = {
        name: {"instructions": n, "cycles": {}} for name, n in executed.most_common()
    }
    for core in models:
        found = estimate(taken, executed, core)
        cores[core] = {
            "cycles": round(found.cycles),
            "per_triple": round(found.cycles / case.triples, 5),
            "relative_error": round(found.relative_error, 4),
        }
        for name, own in found.by_phase.items():
            phases[name]["cycles"][core] = round(own)
    return {
        "kernel": run.output.decode().strip(),
        "instructions": total,
        "windows": len(taken),
        "cores": cores,
        "phases": phases,
    }
