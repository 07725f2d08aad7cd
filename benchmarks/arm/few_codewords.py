"""What few codewords could save on NEON. See docs/few-codewords.md.

    python -m benchmarks.arm.few_codewords  # writes results/few_codewords-<date>.json

The delegate's kernels and the prototype of pair_sums.cc, which shares sums of bytes over pairs
of input channels among output channels, run the same layers in an emulator, as in
docs/arm-cost.md: instructions executed, cycles of the models of Cortex-A72 and Neoverse N1.
Narrower layers run in the delegate's kernels only: the other way to spend accuracy. About 15
minutes of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import result_files
from benchmarks.arm.build import FOLDER, kernel_cost_program, static_program
from benchmarks.arm.op_cost import Case, Program, cost
from benchmarks.environment import environment

SOURCE = Path(__file__).with_name("pair_sums.cc")
CORES = ("cortex-a72", "neoverse-n1")
LAYERS = {
    "ResNet-18, QuickNet": ((64, 56), (128, 28), (256, 14), (512, 7)),
    "ResNet-20": ((16, 32), (32, 16), (64, 8)),
}
"""(channels, side of the map) of 3x3 layers of stride 1."""
CODEWORDS = (4, 8, 16, 32)
NARROWER = (0.75, 0.5)
PAIRED = ((1, 16, 0), (1, 32, 0), (2, 4, 0), (2, 8, 0), (2, 16, 0), (2, 0, 64), (2, 0, 128))
"""(input channels of a table, codewords, atoms) of the prototype; an atom has 18 bits."""
TABLE_BYTES = 65536
"""A chunk's tables at most: the first-level cache of a Neoverse N1; half is an A72's."""


@dataclass(frozen=True)
class PairSums:
    """A layer in the prototype: its arguments, in their order."""

    channels_in: int
    channels_out: int
    codewords: int
    height: int
    width: int
    group: int
    vectors: int
    atoms: int

    @property
    def triples(self) -> int:
        """As of `Case`."""
        return self.channels_in * self.channels_out * self.height * self.width

    @property
    def arguments(self) -> list[str]:
        return [str(value) for value in vars(self).values()]


def executed(program: Program, case: PairSums) -> tuple[int, int]:
    """Instructions, and bytes of tables."""
    run = program.trace(case)
    total = sum(n * run.sizes[start] // 4 for start, n in run.counts().items())
    return total, int(run.output.split()[0])


def best_block(program: Program, case: PairSums) -> tuple[PairSums, int]:
    """The block with the fewest instructions whose tables fit, and the bytes of these."""
    found = []
    for vectors in (2, 4, 8):
        sized = replace(case, vectors=vectors)
        instructions, table = executed(program, sized)
        if table <= TABLE_BYTES or not found:
            found.append((instructions, table, sized))
    _, table, sized = min(found, key=lambda each: each[0])
    return sized, table


def cases() -> Iterator[tuple[str, float, Case | PairSums]]:
    """(network, width, what runs)."""
    for network, layers in LAYERS.items():
        for channels, side in layers:
            layer = Case(channels, channels, 512, side, side)
            yield network, 1.0, replace(layer, kernel="xnor")
            for codewords in CODEWORDS:
                yield network, 1.0, replace(layer, codewords=codewords, kernel="codebook")
            for width in NARROWER if channels >= 64 and side != 8 else ():
                own = round(channels * width)
                for kernel, codewords in (("xnor", 512), ("codebook", 32)):
                    yield network, width, Case(own, own, codewords, side, side, kernel=kernel)
            for group, codewords, atoms in PAIRED:
                yield (
                    network,
                    1.0,
                    PairSums(channels, channels, codewords, side, side, group, 2, atoms),
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, help="default: results/...")
    args = parser.parse_args()
    header = environment()
    kernels = Program(kernel_cost_program())
    prototype = Program(static_program(SOURCE, FOLDER))

    def one(job: tuple[str, float, Case | PairSums]) -> dict[str, Any]:
        network, width, case = job
        row: dict[str, Any] = {"network": network, "layer_width": width}
        if isinstance(case, PairSums):
            case, row["table_bytes"] = best_block(prototype, case)
        program = prototype if isinstance(case, PairSums) else kernels
        found = cost(program, case, count=args.windows, models=CORES)
        row |= {**vars(case), "triples": case.triples, **found}
        row["kernel"] = "pair_sums" if isinstance(case, PairSums) else case.kernel
        per_128 = 128 * row["instructions"] / row["triples"]
        print(network, case, f"{per_128:.1f}", flush=True)
        return row

    with ThreadPoolExecutor(args.jobs) as pool:
        rows = list(pool.map(one, cases()))
    setting = {"windows": args.windows, "table_bytes": TABLE_BYTES}
    result = {"environment": header, "setting": setting, "layers": rows}
    result_files.write("few_codewords", result, args.output)


if __name__ == "__main__":
    main()
