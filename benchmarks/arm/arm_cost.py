"""What a binary convolution costs on ARM cores, without ARM hardware. See docs/arm-cost.md.

    python -m benchmarks.arm.arm_cost run     # writes benchmarks/results/arm_cost-<date>.json

builds the kernels for AArch64, runs every layer of shapes/arm_cost.txt in an emulator and
schedules what was executed on six core models. About 15 minutes.

    python -m benchmarks.arm.arm_cost op 28 28 128 128 3 1 32 float [--program FILE]

does one layer, a line of the same form, and shows the parts of the kernel (`--kernel NAME`:
of another one).

    python -m benchmarks.arm.arm_cost loop FILE [--symbol TEXT] [--per N] [--timeline CORE]

prints the cycles per turn of every innermost loop of FILE (C++ or assembly source, object
file, library or executable). Assembly without a loop counts as the body of one. `--per N`
also prints cycles / N, where N is the number of (input channel, output channel, pixel) triples
that one turn does: a 3x3 kernel of LCE is 128 * 8 * 4 / 9 = 455.1 a turn.

    python -m benchmarks.arm.arm_cost instructions "eor v0.16b, v1.16b, v2.16b" ...

prints latency and reciprocal throughput of single instructions.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import result_files
from benchmarks.arm import lce_block
from benchmarks.arm.block_trace import TraceError
from benchmarks.arm.build import BuildError, compiled, kernel_cost_program
from benchmarks.arm.disassembly import Loop, disassemble, innermost_loops
from benchmarks.arm.mca import (
    ALSO,
    CORES,
    McaError,
    instruction_costs,
    report,
    steady_cycles,
    tool,
)
from benchmarks.arm.op_cost import Case, Program, cost
from benchmarks.environment import environment

SOURCES = {".c", ".cc", ".cpp", ".s", ".S"}
OUTPUTS = {"float": "float32", "bits": "bitpacked"}
DENSE = 512  # every 3x3 kernel there is


def case_of(line: str, kernel: str | None = None) -> Case:
    """`28 28 128 128 3 1 32 float`: height width in out filter stride codewords output."""
    *numbers, output = line.split()
    if len(numbers) != 7 or output not in OUTPUTS or numbers[4] != "3":
        raise BuildError(f"Expected a line as in shapes/arm_cost.txt, got `{line}`.")
    height, width, channels_in, channels_out, _, stride, codewords = map(int, numbers)
    return Case(
        channels_in,
        channels_out,
        codewords or DENSE,
        height // stride,
        width // stride,
        stride,
        kernel or ("codebook" if codewords else "xnor"),
        OUTPUTS[output],
    )


def lce_costs() -> dict[str, Any]:
    """Cycles of LCE's inner block, and of what surrounds it, per core."""
    sources = {"block": lce_block.inner_loop(), "tap": lce_block.tap_overhead()}
    sources |= {output: lce_block.tile_overhead(output) for output in OUTPUTS.values()}
    triples = lce_block.OUTPUTS * lce_block.PIXELS * lce_block.CHANNELS / 9
    costs = {}
    for core in CORES:
        cycles = steady_cycles(sources, core)
        block = min(cycles["block"], lce_block.OWN_ORDER.get(core, cycles["block"]))
        costs[core] = {**cycles, "best_block": block, "per_triple": round(block / triples, 5)}
    return costs


def lce_op(case: Case, costs: dict[str, float]) -> float:
    """Cycles per triple of LCE's whole op, estimated: the blocks, their taps and their tile.

    64 input channels are charged half of a block of 128, which LCE does not reach.
    """
    blocks = 9 * case.channels_in / lce_block.CHANNELS
    tile = blocks * costs["best_block"] + 9 * costs["tap"] + costs[case.output]
    return tile / (lce_block.OUTPUTS * lce_block.PIXELS * case.channels_in)


def run(arguments: argparse.Namespace) -> None:
    lines = result_files.shapes("arm_cost")
    program = Program(arguments.program or kernel_cost_program())
    lce = lce_costs()

    def one(line: str) -> dict[str, Any]:
        case = case_of(line)
        result = cost(program, case, count=arguments.windows)
        for core, own in result["cores"].items():
            own["lce_op_per_triple"] = round(lce_op(case, lce[core]), 5)
        print(line, result["kernel"], flush=True)
        chosen = program.chosen_kernel(case)
        return {"line": line, **vars(case), **result, "chosen": chosen}

    # llvm-mca runs in processes of its own.
    with ThreadPoolExecutor(arguments.jobs) as pool:
        cases = list(pool.map(one, lines))
    header = environment()
    shown = subprocess.run([tool("llvm-mca"), "--version"], capture_output=True, text=True)
    header["versions"]["llvm-mca"] = shown.stdout.split("version ")[1].split()[0]
    result = {
        "environment": header,
        "setting": {"windows": arguments.windows, "cores": ALSO},
        "lce": lce,
        "cases": cases,
    }
    result_files.write("arm_cost", result)


def print_op(arguments: argparse.Namespace) -> None:
    case = case_of(" ".join(arguments.layer), arguments.kernel)
    program = Program(arguments.program or kernel_cost_program())
    result = cost(program, case, count=arguments.windows)
    lce = lce_costs()
    print(f"{result['kernel']}: {result['instructions']} instructions, ", end="")
    print("below per (input channel, output channel, pixel)")
    print(f"{'':24}{'instructions':>13}" + "".join(f"{core:>13}" for core in CORES))

    def row(name: str, instructions: float | None, cells: list[str]) -> None:
        number = "" if instructions is None else f"{instructions / case.triples:.4f}"
        print(f"{name:24}{number:>13}" + "".join(f"{cell:>13}" for cell in cells))

    for name, phase in result["phases"].items():
        cycles = (phase["cycles"][core] / case.triples for core in CORES)
        row(name, phase["instructions"], [f"{c:.4f}" for c in cycles])
    own = [result["cores"][core]["per_triple"] for core in CORES]
    errors = [result["cores"][core]["relative_error"] for core in CORES]
    row("all", result["instructions"], [f"{c:.4f}" for c in own])
    row("  sampling error", None, [f"{100 * e:.1f}%" for e in errors])
    block = [lce[core]["per_triple"] for core in CORES]
    whole = [lce_op(case, lce[core]) for core in CORES]
    row("LCE's block", None, [f"{c:.4f}" for c in block])
    row("  fewer cycles", None, [f"{c / o:.2f}x" for c, o in zip(block, own, strict=True)])
    row("LCE's op, estimated", None, [f"{c:.4f}" for c in whole])


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
    lce = lce_costs()
    cycles = {core: steady_cycles(sources, core) for core in CORES}
    for i, loop in enumerate(loops):
        first, last = loop.body[0].address, loop.body[-1].address
        print(f"{loop.function} {first:#x}..{last:#x}: {len(loop.body)} instructions")
        for core in CORES:
            turn = cycles[core][f"loop{i}"]
            line = f"  {core:12} {turn:8.2f} cycles"
            if arguments.per:
                own, theirs = turn / arguments.per, lce[core]["per_triple"]
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
    every = commands.add_parser("run", help="all layers; writes the results")
    every.add_argument("--jobs", type=int, default=2)
    every.set_defaults(run=run)
    single_op = commands.add_parser("op", help="one layer")
    single_op.add_argument("layer", nargs=8, metavar="FIELD")
    single_op.add_argument("--kernel", help="auto, xnor, codebook or reference")
    single_op.set_defaults(run=print_op)
    for command in (every, single_op):
        command.add_argument("--program", type=Path, help="a compiled kernel_cost.cc")
        command.add_argument("--windows", type=int, default=100)
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
    except (BuildError, McaError, TraceError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
