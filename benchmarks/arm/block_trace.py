"""Which basic blocks a statically linked AArch64 Linux program executes, by emulation.

The `unicorn` package executes the instructions; the few system calls that the start of a C
library needs are answered here. Only what runs between two functions of the program is
recorded.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.arm.disassembly import Instruction

_STACK, _STACK_BYTES = 0x7F_0000_0000, 8 << 20
_HEAP = 0x60_0000_0000
_PAGE = 4096
_ENOSYS = -38
_WRITE, _WRITEV, _EXIT, _EXIT_GROUP, _MMAP, _BRK, _SET_TID = 64, 66, 93, 94, 222, 214, 96
# set_robust_list, sigaltstack, sigaction, sigprocmask, munmap, mprotect, madvise
_SUCCEED = {99, 132, 134, 135, 215, 226, 233}


class TraceError(RuntimeError):
    """The program cannot be emulated, or did not reach the markers."""


@dataclass
class BlockTrace:
    """The basic blocks of one run, in the order of execution.

    Attributes:
        starts: address of each block executed.
        sizes: bytes of each block, by address.
        output: what the program wrote.
    """

    starts: array[int] = field(default_factory=lambda: array("Q"))
    sizes: dict[int, int] = field(default_factory=dict)
    output: bytes = b""

    def counts(self) -> Counter[int]:
        return Counter(self.starts)

    def instructions(self) -> int:
        return sum(self.sizes[start] // 4 * n for start, n in self.counts().items())


class _Process:
    """A program in memory with a stack and a heap, ready to run."""

    def __init__(self, program: Path, arguments: Sequence[str]) -> None:
        try:
            unicorn: Any = import_module("unicorn")
            arm64_const: Any = import_module("unicorn.arm64_const")
        except ImportError as error:
            raise TraceError(
                "Expected the package `unicorn`. Run: pip install 'unicorn>=2,<3'"
            ) from error
        self.unicorn, self.registers = unicorn, arm64_const
        self.machine = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self.machine.ctl_set_cpu_model(arm64_const.UC_CPU_ARM64_MAX)
        self.output = bytearray()
        self.heap = _HEAP
        self.entry, headers = self._load(program.read_bytes())
        self._stack([program.name, *arguments], headers)
        enable = self.machine.reg_read(arm64_const.UC_ARM64_REG_CPACR_EL1) | 3 << 20
        self.machine.reg_write(arm64_const.UC_ARM64_REG_CPACR_EL1, enable)
        self.machine.hook_add(unicorn.UC_HOOK_INTR, self._system_call)

    def _load(self, elf: bytes) -> tuple[int, tuple[int, int]]:
        if elf[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<HH", elf, 16) != (2, 183):
            raise TraceError("Expected a statically linked AArch64 executable (ELF, ET_EXEC).")
        entry, table = struct.unpack_from("<QQ", elf, 24)
        (count,) = struct.unpack_from("<H", elf, 56)
        in_memory = 0
        mapped: set[int] = set()
        for i in range(count):
            kind, _, offset, address, _, file_bytes, memory_bytes, _ = struct.unpack_from(
                "<IIQQQQQQ", elf, table + 56 * i
            )
            if kind != 1:  # PT_LOAD
                continue
            if offset <= table < offset + file_bytes:
                in_memory = address + table - offset
            for page in range(address // _PAGE, -(-(address + memory_bytes) // _PAGE)):
                if page not in mapped:
                    self.machine.mem_map(page * _PAGE, _PAGE)
                    mapped.add(page)
            self.machine.mem_write(address, elf[offset : offset + file_bytes])
        return entry, (in_memory, count)

    def _stack(self, arguments: list[str], headers: tuple[int, int]) -> None:
        self.machine.mem_map(_STACK - _STACK_BYTES, _STACK_BYTES)
        top = _STACK - 16
        pointers = []
        for argument in arguments:
            text = argument.encode() + b"\0"
            top -= len(text)
            self.machine.mem_write(top, text)
            pointers.append(top)
        random = top = (top - 16) & ~15
        # AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_ENTRY, AT_RANDOM, and AT_HWCAP with
        # floating point and NEON.
        auxiliary = [(3, headers[0]), (4, 56), (5, headers[1]), (6, _PAGE), (9, self.entry)]
        auxiliary += [(25, random), (16, 3), (0, 0)]
        words = [len(pointers), *pointers, 0, 0, *(word for pair in auxiliary for word in pair)]
        top = (top - 8 * len(words)) & ~15
        self.machine.mem_write(top, struct.pack(f"<{len(words)}Q", *words))
        self.machine.reg_write(self.registers.UC_ARM64_REG_SP, top)

    def _argument(self, i: int) -> int:
        value: int = self.machine.reg_read(self.registers.UC_ARM64_REG_X0 + i)
        return value

    def _system_call(self, machine: Any, interrupt: int, _: object) -> None:
        number = self._argument(8)
        if interrupt != 2 or number in (_EXIT, _EXIT_GROUP):
            machine.emu_stop()
            return
        result = _ENOSYS
        if number == _MMAP:
            size = -(-self._argument(1) // _PAGE) * _PAGE
            machine.mem_map(self.heap, size)
            result, self.heap = self.heap, self.heap + size + _PAGE
        elif number == _WRITE:
            result = self._argument(2)
            self.output += machine.mem_read(self._argument(1), result)
        elif number == _WRITEV:
            result = 0
            for i in range(self._argument(2)):
                vector = machine.mem_read(self._argument(1) + 16 * i, 16)
                address, size = struct.unpack("<QQ", vector)
                self.output += machine.mem_read(address, size)
                result += size
        elif number == _SET_TID:
            result = 1
        elif number in _SUCCEED or number == _BRK:
            result = 0
        machine.reg_write(self.registers.UC_ARM64_REG_X0, result & (1 << 64) - 1)

    def run(self, first: int, last: int) -> None:
        try:
            self.machine.emu_start(first, last)
        except self.unicorn.UcError as error:
            where = self.machine.reg_read(self.registers.UC_ARM64_REG_PC)
            raise TraceError(f"The program failed at {where:#x}: {error}.") from error
        where = self.machine.reg_read(self.registers.UC_ARM64_REG_PC)
        if where != last:
            said = self.output.decode(errors="replace").strip()
            raise TraceError(f"The program ended at {where:#x} before {last:#x}. {said}")


def trace(
    program: Path, arguments: Sequence[str], begin: int, end: int, after: int
) -> BlockTrace:
    """Runs a program and records its basic blocks between two addresses.

    Args:
        program: a static executable.
        arguments: its command line.
        begin: the address that starts the record when it is reached.
        end: the address that ends it.
        after: the program runs on to this address, so that it can print something.

    Raises:
        TraceError: if `unicorn` is missing, the program fails or does not come there.
    """
    process = _Process(program, arguments)
    process.run(process.entry, begin)
    result = BlockTrace()
    record, sizes = result.starts.append, result.sizes

    def block(_machine: object, address: int, size: int, _data: object) -> None:
        record(address)
        sizes[address] = size

    hook = process.machine.hook_add(process.unicorn.UC_HOOK_BLOCK, block)
    # What was translated before does not call the hook.
    process.machine.ctl_flush_tb()
    process.run(begin, end)
    process.machine.hook_del(hook)
    process.run(end, after)
    result.output = bytes(process.output)
    return result


def output_of(program: Path, arguments: Sequence[str], after: int) -> str:
    """What a program prints until it reaches an address.

    Raises:
        TraceError: as `trace`.
    """
    process = _Process(program, arguments)
    process.run(process.entry, after)
    return process.output.decode().strip()


def address_of(function: str, instructions: Sequence[Instruction]) -> int:
    """The first address of a function.

    Raises:
        TraceError: no function has this name.
    """
    for instruction in instructions:
        if instruction.function == function:
            return instruction.address
    raise TraceError(f"Expected a function {function}, got none of this name.")
