"""The prototype of docs/few-codewords.md computes the convolution that it is counted for."""

from __future__ import annotations

import importlib.util
import subprocess

import pytest

from benchmarks.arm.build import program
from benchmarks.arm.few_codewords import SOURCE, Case, PairSums, cases
from delegate.arm import emulate


@pytest.fixture(scope="module")
def command(sysroot, tmp_path_factory):
    """What runs the prototype, with the sysroot's C library: zig would compile one first."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("needs the package ziglang")
    folder = tmp_path_factory.mktemp("program")
    return emulate.program_command(
        sysroot, program(SOURCE, folder, "aarch64-linux-gnu.2.17", [])
    )


@pytest.mark.parametrize(
    "case",
    [
        PairSums(16, 16, 4, 7, 9, 2, 8, 0),
        PairSums(64, 8, 8, 5, 16, 2, 4, 0),
        PairSums(32, 16, 16, 7, 7, 2, 2, 0),
        PairSums(64, 24, 32, 5, 17, 1, 2, 0),
        PairSums(32, 16, 0, 7, 15, 2, 4, 64),
    ],
    ids=lambda case: " ".join(case.arguments),
)
def test_the_sums_are_those_of_the_convolution(command, case):
    done = subprocess.run(
        [*command, *case.arguments, "check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_each_layer_runs_in_every_way():
    found = list(cases())
    full = [case for _, width, case in found if width == 1]
    assert {(case.channels_in, case.height) for case in full} == {
        *((64, 56), (128, 28), (256, 14), (512, 7)),
        *((16, 32), (32, 16), (64, 8)),
    }
    assert len(full) == 7 * (1 + 4 + 7)
    narrow = [case for _, width, case in found if width != 1]
    assert {case.channels_in for case in narrow} == {32, 48, 64, 96, 128, 192, 256, 384}
    assert all(isinstance(case, Case) for case in narrow)
