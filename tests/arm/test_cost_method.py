"""The cost model's tools on programs whose instruction counts and cycles are known."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.arm import lce_block, mca
from benchmarks.arm.disassembly import disassemble, innermost_loops
from benchmarks.arm.op_cost import Case, Program, cost

TURNS = 4000
# A loop of three instructions, whose EOR waits for the one before; then one without a loop.
PROGRAM = f"""
.globl _start, KernelCostBegin, KernelCostEnd, exit
.type _start, %function
_start:
  bl KernelCostBegin
  mov x1, #{TURNS}
1:
  eor v0.16b, v0.16b, v1.16b
  subs x1, x1, #1
  b.ne 1b
  bl KernelCostEnd
  bl exit
.type KernelCostBegin, %function
KernelCostBegin: ret
.type KernelCostEnd, %function
KernelCostEnd: ret
.type exit, %function
exit: b exit
"""


@pytest.fixture(scope="module")
def llvm():
    try:
        return [mca.tool(name) for name in ("llvm-mca", "llvm-objdump", "llvm-symbolizer")]
    except mca.McaError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def program(llvm, tmp_path_factory):
    for package in ("unicorn", "ziglang"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs the package {package}")
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.s").write_text(PROGRAM)
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl"]
    command += ["-nostdlib", "-static", "program.s", "-o", "program"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return Program(folder / "program")


CASE = Case(1, 1, 1, 1, TURNS)


def test_every_instruction_between_the_markers_is_counted(program):
    run = program.trace(CASE)
    # KernelCostBegin's ret, mov, the loop, the call of KernelCostEnd.
    assert run.instructions() == 1 + 1 + 3 * TURNS + 1


# The latency of EOR on 128 bits, which the loop waits for.
@pytest.mark.parametrize(
    ("core", "latency"), [("cortex-a72", 3), ("neoverse-n1", 2), ("neoverse-v1", 2)]
)
def test_a_chain_of_dependent_instructions_costs_its_latency(program, core, latency):
    result = cost(program, CASE, count=5, size=600)
    assert result["cores"][core]["per_triple"] == pytest.approx(latency, rel=0.01)
    assert result["phases"]["_start"]["instructions"] == 3 * TURNS + 2


def test_finds_the_loop(program):
    loops = innermost_loops(disassemble(program.path), "_start")
    assert [len(loop.body) for loop in loops] == [3]
    assert mca.steady_cycles({"loop": loops[0].text}, "neoverse-n1") == {"loop": 2.0}


@pytest.mark.parametrize(
    ("core", "pipes"),
    [("cortex-a72", 2), ("neoverse-n1", 2), ("neoverse-v1", 4), ("neoverse-n2", 2)],
)
def test_lce_block_is_bound_by_its_96_vector_instructions(llvm, core, pipes):
    cycles = mca.steady_cycles({"block": lce_block.inner_loop()}, core)
    assert cycles["block"] == pytest.approx(96 / pipes, rel=0.01)


def test_refused_instruction_is_named(llvm):
    with pytest.raises(mca.McaError, match=r"refuses `flurb v0`"):
        mca.steady_cycles({"x": "flurb v0"}, "neoverse-n1")


def test_other_machines_code_is_refused(llvm):
    with pytest.raises(mca.McaError, match="Expected AArch64 machine code"):
        disassemble(Path(sys.executable).resolve())
