"""Counting the instructions of a network: on a program whose count is known, and on a model."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.arm import emulated_network as emulated
from benchmarks.arm import mca
from benchmarks.arm.executed import parse
from benchmarks.arm.network_parts import BEFORE, Parts
from benchmarks.arm.op_cost import estimate

MODEL = Path(__file__).resolve().parents[1] / "golden" / "subbit_v1.tflite"
TURNS = 4000
# What is marked: a loop of three instructions, a question for the time, and a loop of two.
MARKED = f"""
  mov x8, #173
  svc #0
  mov x1, #{TURNS}
1:
  eor v0.16b, v0.16b, v1.16b
  subs x1, x1, #1
  b.ne 1b
  mov x8, #113
  svc #0
  mov x1, #{TURNS}
2:
  subs x1, x1, #1
  b.ne 2b
  mov x8, #173
  svc #0
"""
PROGRAM = f"""
.globl _start
_start:
  mov x0, #0
  adr x1, time
{MARKED}
  mov x0, #0
{MARKED.replace("1:", "3:").replace("1b", "3b").replace("2:", "4:").replace("2b", "4b")}
  mov x0, #0
  mov x8, #93
  svc #0
.bss
time: .skip 16
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("needs the package ziglang")
    if emulated.shutil.which(emulated.QEMU) is None:
        pytest.skip(f"expected {emulated.QEMU}, got none; run: apt-get install qemu-user")
    return emulated.plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture(scope="module")
def record(counter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.s").write_text(PROGRAM)
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl"]
    command += ["-nostdlib", "-static", "program.s", "-o", "program"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    plugin = f"{counter},out={folder / 'record.txt'},windows=4,size=600"
    subprocess.run([emulated.QEMU, "-plugin", plugin, folder / "program"], check=True)
    return parse((folder / "record.txt").read_text().splitlines())


def test_every_instruction_between_the_marks_is_counted(record):
    # mov, the loop, mov and svc; then mov, the loop, mov and svc.
    segments = [
        sum(n * len(record.blocks[block].words) for block, n in counts.items())
        for counts in record.counts
    ]
    assert segments == [1 + 3 * TURNS + 2, 1 + 2 * TURNS + 2]


def test_windows_are_taken_at_even_distances(record):
    sizes = [sum(len(record.blocks[b].words) for _, b in window) for window in record.windows]
    assert len(sizes) == 4
    assert all(600 <= size < 610 for size in sizes)
    # Three fifths of the instructions are the first segment's.
    assert [window[0][0] for window in record.windows] == [0, 0, 1, 1]


@pytest.fixture(scope="module")
def done(counter, sysroot, wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("delegate")
    with zipfile.ZipFile(wheel) as archive:
        library = archive.extract("keras_sparsebnn/runtime/libsparsebnn_delegate.so", folder)
    return emulated.run(
        MODEL,
        emulated.STREAMS[0],
        sysroot=sysroot,
        counter=counter,
        library=Path(library),
        windows=4,
    )


def test_a_network_is_taken_apart(done):
    parts = Parts(done)
    kinds = parts.by_kind()
    assert sum(kinds.values()) == sum(parts.by_library().values()) == done.record.executed()
    assert kinds["binary 4x4"] > 0
    assert kinds[BEFORE] > 0
    assert parts.by_library()["delegate"] > 0.5 * done.record.executed()
    assert all("neon" in row["kernel"] for row in parts.by_pass())


def test_cycles_of_a_network(done):
    try:
        mca.tool("llvm-mca")
    except mca.McaError as error:
        pytest.skip(str(error))
    parts = Parts(done)
    found = estimate(parts.windows(), parts.by_kind(), "cortex-a72")
    # At most three instructions a cycle; and no program waits this long.
    assert done.record.executed() / 3 < found.cycles < 10 * done.record.executed()
