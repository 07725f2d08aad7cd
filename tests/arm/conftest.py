"""Fixtures of the AArch64 tests: the sysroot, this project's wheel, and how to run both.

Everything is skipped, with the reason, where qemu or the sysroot is missing:

    apt-get install qemu-user-static && python -m delegate.arm.sysroot
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from delegate.arm import emulate
from delegate.arm import sysroot as sysroots
from delegate.arm.architecture import AARCH64

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "delegate-aarch64-linux"  # setup.py's

RunGuest = Callable[..., str]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time builds in a folder; setup.py takes turns by the same lock."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def finish(command: list[str], **options: object) -> str:
    """Runs to the end and returns what was printed; what went wrong is the assertion's text."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="session")
def sysroot() -> Path:
    folder = sysroots.default_folder().resolve()
    if reason := emulate.missing(folder):
        pytest.skip(reason)
    return folder


def build_wheel(target: str, folder: Path) -> Path:
    """The library is compiled in the checkout's build/, the rest elsewhere."""
    setup = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base", str(folder)]
    setup += ["build", "--build-base", str(folder / "build"), "bdist_wheel"]
    setup += ["--dist-dir", str(folder / "dist"), "--bdist-dir", str(folder / "bdist")]
    finish(setup, cwd=ROOT, env={**os.environ, "SPARSEBNN_TARGET": target})
    (path,) = (folder / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="session")
def wheel(sysroot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For AArch64."""
    return build_wheel("aarch64-linux", tmp_path_factory.mktemp("wheel-aarch64"))


@pytest.fixture(scope="session")
def site(sysroot: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and what its [device] extra requires, as pip installs them on a board."""
    target = tmp_path_factory.mktemp("aarch64") / "site"
    requirements = [*AARCH64.wheels, f"{wheel}[device]"]
    return sysroots.install_wheels(
        target, requirements, wheels=sysroot / "cache" / "wheels", stamped=False
    )


@pytest.fixture(scope="session")
def kernels_test(sysroot: Path, wheel: Path) -> list[str]:
    """The command that runs delegate/tests/kernels_test.cc on the emulated machine."""
    lines = (BUILD / "CMakeCache.txt").read_text().splitlines()
    cache = dict(line.split(":", 1) for line in lines if ":" in line)
    cmake, ninja = (
        cache[name].partition("=")[2] for name in ("CMAKE_COMMAND", "CMAKE_MAKE_PROGRAM")
    )
    with alone(BUILD):
        finish([cmake, str(BUILD), "-DSPARSEBNN_TESTS=ON"])
        finish([ninja, "-C", str(BUILD), "kernels_test"])
    return emulate.program_command(sysroot, BUILD / "kernels_test")


@pytest.fixture(scope="session")
def run_guest(sysroot: Path) -> RunGuest:
    """The emulated Python: `run_guest(site, script, argument, ...)` returns its output."""

    def run(site: Path, *arguments: object, **options: object) -> str:
        command = emulate.python_command(sysroot, [site])
        return finish([*command, *map(str, arguments)], **options)

    return run
