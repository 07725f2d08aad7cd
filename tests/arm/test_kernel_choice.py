"""`kernel=auto` on ARM cores takes the kernel of fewer modelled cycles, or nearly."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess

import pytest

from benchmarks.arm.build import kernel_cost_program
from benchmarks.arm.op_cost import Case
from benchmarks.result_files import newest

# The delegate's name of a core -> those in the record that it stands for.
CORES = {
    "out-of-order": ("neoverse-n1", "neoverse-n2"),
    "cortex-a72": ("cortex-a72",),
    "in-order": ("cortex-a53", "cortex-a55"),
}
WORST = 1.05  # the cycles have a standard error of up to 4 %


def layers():
    """Cycles by kernel and core of each layer, with 32 codewords or, dense, any filter."""
    found = {}
    for case in newest("arm_cost")["cases"]:
        if case["codewords"] not in (0, 32, 512):
            continue
        names = ("channels_in", "channels_out", "height", "width", "stride", "output")
        cycles = {core: own["cycles"] for core, own in case["cores"].items()}
        found.setdefault(tuple(case[n] for n in names), {})[case["kernel"].split()[0]] = cycles
    return {layer: kernels for layer, kernels in found.items() if len(kernels) == 2}


@pytest.fixture(scope="module")
def program():
    if shutil.which("qemu-aarch64-static") is None:
        pytest.skip("needs qemu-aarch64-static")
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("needs the package ziglang")
    return kernel_cost_program()


@pytest.mark.parametrize("core", CORES)
def test_costs_hardly_more_than_the_best(program, core):
    assert len(layers()) >= 10
    for (n_in, n_out, height, width, stride, output), kernels in layers().items():
        case = Case(n_in, n_out, 32, height, width, stride, "auto", output)
        command = ["qemu-aarch64-static", "-E", f"SPARSEBNN_CORE={core}", program]
        done = subprocess.run([*command, *case.arguments], capture_output=True, check=True)
        chosen = done.stdout.decode().split()[0]
        cycles = {
            kernel: sum(cycles[name] for name in CORES[core])
            for kernel, cycles in kernels.items()
        }
        assert cycles[chosen] <= WORST * min(cycles.values()), (case, chosen, cycles)
