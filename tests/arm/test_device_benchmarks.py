"""`sparsebnn benchmark --device` on an emulated AArch64: through adb, and through ssh."""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path

import pytest

from delegate.arm import emulate
from keras_sparsebnn.cli import main
from keras_sparsebnn.devices.find import Options, open_device
from tests.devices.conftest import adb_server, board, phone, sshd  # noqa: F401

MODEL = Path(__file__).resolve().parents[1] / "golden" / "subbit_v1.tflite"
FAST = ("--runs", "2", "--warmup", "1", "--no-local", "--json")


@pytest.fixture(scope="module")
def guest_python(sysroot, tmp_path_factory) -> Path:
    """A program that is the emulated Python, also for the processes that it starts."""
    path = tmp_path_factory.mktemp("guest") / "python3"
    # Compiled once for all processes, and nowhere in the sysroot.
    variables = {"PYTHONHOME": f"{sysroot}/root/usr"}
    variables["PYTHONPYCACHEPREFIX"] = str(path.with_name("compiled"))
    python = sysroot / "root" / "usr" / "bin" / "python3.11"
    qemu, *options = emulate.program_command(sysroot, python, variables)
    # Its first argument is what Python takes for its own name.
    path.write_text(f'#!/bin/sh\nexec {qemu} -0 "$0" {shlex.join(options)} "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def results(capsys, device: str, *options: object) -> dict:
    assert main(["benchmark", str(MODEL), "--device", device, *FAST, *map(str, options)]) == 0
    (measured,) = json.loads(capsys.readouterr().out)["devices"].values()
    (report,) = measured["models"].values()
    return report


def check(report: dict) -> None:
    """The arm64 build has run the model."""
    assert report["machine"] == "aarch64"
    (timing,) = report["timings"]
    assert (timing["runtime"], timing["runs"]) == ("delegate on litert", 2)
    kernels = {node["op"]: node["kernel"] for node in report["layers"][str(MODEL)]}
    assert any("neon" in kernel for kernel in kernels.values())


def test_adb(guest_python, site, phone, capsys):  # noqa: F811
    measure = ["env", f"PYTHONPATH={site}", guest_python]
    measure += ["-m", "keras_sparsebnn.devices.board_process"]
    check(results(capsys, f"adb:{phone(measure=list(map(str, measure))).serial}"))


def test_ssh_with_nothing_on_the_board_but_python(
    guest_python,
    sysroot,
    wheel,
    site,
    board,  # noqa: F811
    capsys,
    tmp_path,
):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for path in (wheel, *(sysroot / "cache" / "wheels").glob("*.whl")):
        (wheels / path.name).symlink_to(path)
    (board.programs / "python3").unlink()
    (board.programs / "python3").symlink_to(guest_python)
    check(results(capsys, "ssh:board", "--wheels", wheels, "--keep"))
    kept = sorted(path.name for path in board.folder.iterdir())
    assert sum(name.endswith(".whl") for name in kept) >= 3
    assert [name for name in kept if name.startswith("site-") and name.endswith("part")] == []
    # The second time, all of it is there.
    before = {path.name: path.stat().st_mtime_ns for path in board.folder.iterdir()}
    open_device("ssh:board", Options(wheels=wheels, keep=True)).prepare([MODEL])
    assert before == {path.name: path.stat().st_mtime_ns for path in board.folder.iterdir()}
