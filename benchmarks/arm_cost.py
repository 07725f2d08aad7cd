"""What a binary convolution costs on ARM cores, without ARM hardware.

    python benchmarks/arm_cost.py loop FILE [--symbol TEXT] [--per N] [--timeline CORE]

prints the cycles per turn of every innermost loop of FILE (C++ or assembly source, object
file, library or executable) on six core models. Assembly without a loop counts as the body of
one. `--per N` also prints cycles / N, where N is the number of (input channel, output channel,
pixel) triples that one turn does: a 3x3 kernel of LCE is 128 * 8 * 4 / 9 = 455.1 a turn.

    python benchmarks/arm_cost.py instructions "eor v0.16b, v1.16b, v2.16b" ...

prints latency and reciprocal throughput of single instructions.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import lce_block
from disassembly import Loop, disassemble, innermost_loops
from mca import ALSO, CORES, McaError, instruction_costs, report, steady_cycles

SOURCES = {".c", ".cc", ".cpp", ".s", ".S"}
COMPILE = ("-std=c++17", "-O3", "-fno-exceptions", "-fno-rtti", "-fPIC")


def compiled(source: Path, folder: Path, options: list[str]) -> Path:
    """An AArch64 object file made with the `ziglang` wheel."""
    target = folder / (source.stem + ".o")
    language = [] if source.suffix.lower() == ".s" else COMPILE
    command = [sys.executable, "-m", "ziglang", "c++", "-target", "aarch64-linux-gnu.2.17"]
    command += [*language, *options, "-c", str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise McaError(f"Expected {source} to compile for AArch64:\n{done.stderr.strip()}")
    return target


def loops_of(path: Path, symbol: str, options: list[str]) -> list[Loop]:
    with tempfile.TemporaryDirectory() as folder:
        if path.suffix in SOURCES:
            path = compiled(path, Path(folder), options)
        instructions = disassemble(path)
    loops = innermost_loops(instructions, symbol)
    if not loops and instructions and path.suffix == ".o":
        loops = [Loop(instructions[0].function, tuple(instructions))]
    if not loops:
        raise McaError(f"Expected a loop in a function named *{symbol}* of {path}, got none.")
    return loops


def print_loops(arguments: argparse.Namespace) -> None:
    loops = loops_of(arguments.file, arguments.symbol, arguments.compile_option)
    loops = [loop for loop in loops if len(loop.body) >= arguments.shortest]
    sources = {f"loop{i}": loop.text for i, loop in enumerate(loops)}
    sources["lce"] = lce_block.inner_loop()
    cycles = {core: steady_cycles(sources, core) for core in CORES}
    lce = lce_block.OUTPUTS * lce_block.PIXELS * lce_block.CHANNELS / 9
    for i, loop in enumerate(loops):
        first, last = loop.body[0].address, loop.body[-1].address
        print(f"{loop.function} {first:#x}..{last:#x}: {len(loop.body)} instructions")
        for core in CORES:
            turn = cycles[core][f"loop{i}"]
            line = f"  {core:12} {turn:8.2f} cycles"
            if arguments.per:
                own, theirs = turn / arguments.per, cycles[core]["lce"] / lce
                line += f"  {own:.4f} each; LCE {theirs:.4f}, {theirs / own:.2f}x fewer"
            print(line)
        if arguments.timeline:
            print(report(loop.text, arguments.timeline))


def print_instructions(arguments: argparse.Namespace) -> None:
    costs = {core: instruction_costs(arguments.text, core) for core in CORES}
    print("latency/cycles per instruction".ljust(36) + "".join(f"{core:>14}" for core in CORES))
    for i, text in enumerate(arguments.text):
        shown = (costs[core][i] for core in CORES)
        cells = (f"{c['Latency']}/{c['RThroughput']:.2f}" for c in shown)
        print(text.ljust(36) + "".join(f"{cell:>14}" for cell in cells))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    loop = commands.add_parser("loop", help="cycles per turn of the innermost loops of a file")
    loop.add_argument("file", type=Path)
    loop.add_argument("--symbol", default="", help="only functions whose name contains this")
    loop.add_argument("--per", type=float, help="divide cycles by this")
    loop.add_argument("--shortest", type=int, default=1, help="skip shorter loops")
    loop.add_argument("--timeline", choices=ALSO, help="also llvm-mca's report for this core")
    loop.add_argument("--compile-option", action="append", default=[])
    loop.set_defaults(run=print_loops)
    single = commands.add_parser("instructions", help="cost of single instructions")
    single.add_argument("text", nargs="+", help="assembly")
    single.set_defaults(run=print_instructions)
    parsed = parser.parse_args(arguments)
    try:
        parsed.run(parsed)
    except McaError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
