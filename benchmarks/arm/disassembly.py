"""AArch64 machine code as instructions, basic blocks and innermost loops, by llvm-objdump."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arm.mca import McaError, tool

_FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S.*?)\s*$")
# An address that objdump resolved: the target of a branch, ADR, ADRP or a literal load.
_RESOLVED = re.compile(r"(?<![-#\w])0x([0-9a-f]+)(?: <.*>)?$")
_ENDS = re.compile(r"(b|br|ret|cbn?z|tbn?z|b\..+|bl|blr|brk|svc|udf)$")


@dataclass(frozen=True)
class Instruction:
    """One instruction of 4 bytes.

    Attributes:
        address: where it lies.
        text: what an assembler takes; targets are replaced by `#0`, they do not change cost.
        target: for a direct branch, where it goes.
        function: the symbol it belongs to.
    """

    address: int
    text: str
    target: int | None
    function: str

    @property
    def ends_block(self) -> bool:
        return bool(_ENDS.match(self.text.split()[0]))


@dataclass(frozen=True)
class Loop:
    """Consecutive instructions whose last one branches back to the first."""

    function: str
    body: tuple[Instruction, ...]

    @property
    def text(self) -> str:
        return "\n".join(instruction.text for instruction in self.body)


def disassemble(path: Path) -> list[Instruction]:
    """All instructions of an object file, a library or an executable, by address.

    Raises:
        McaError: if llvm-objdump is missing or does not know the file.
    """
    command = [tool("llvm-objdump"), "--disassemble", "--demangle", "--no-show-raw-insn"]
    command += ["--mattr=+v8.2a,+dotprod,+sha3", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise McaError(f"Expected AArch64 machine code in {path}: {done.stderr.strip()}")
    if "aarch64" not in done.stdout.partition("\n\n")[0]:
        raise McaError(f"Expected AArch64 machine code in {path}, got another machine's.")
    found = []
    function = "?"
    for line in done.stdout.splitlines():
        if match := _FUNCTION.match(line):
            function = match.group(2)
        elif match := _LINE.match(line):
            address, text = int(match.group(1), 16), match.group(2).partition("//")[0].strip()
            if text.startswith("<unknown>"):
                text = "udf #0"
            resolved = _RESOLVED.search(text)
            branch = resolved is not None and _ENDS.match(text.split()[0]) is not None
            target = int(resolved.group(1), 16) if resolved and branch else None
            text = " ".join(_RESOLVED.sub("#0", text).split())
            found.append(Instruction(address, text, target, function))
    return found


def innermost_loops(instructions: Iterable[Instruction], symbol: str = "") -> list[Loop]:
    """Loops that contain no other loop, of functions whose name contains `symbol`."""
    functions: dict[str, list[Instruction]] = {}
    for instruction in instructions:
        if symbol in instruction.function:
            functions.setdefault(instruction.function, []).append(instruction)
    loops = []
    for function, body in functions.items():
        index = {instruction.address: i for i, instruction in enumerate(body)}
        spans = {
            (index[instruction.target], i)
            for i, instruction in enumerate(body)
            if instruction.target in index and index[instruction.target] <= i
            if not instruction.text.startswith("bl ")
        }
        for first, last in sorted(spans):
            inner = (s for s in spans if s != (first, last))
            if not any(first <= a and b <= last for a, b in inner):
                loops.append(Loop(function, tuple(body[first : last + 1])))
    return loops


def leaders(instructions: Collection[Instruction]) -> set[int]:
    """Addresses at which a basic block starts: branch targets and what follows a branch."""
    starts = {i.target for i in instructions if i.target is not None}
    return starts | {i.address + 4 for i in instructions if i.ends_block}
