"""Fixtures of the AArch64 tests: the sysroot, this project's wheel for it, and a way to run both.

Everything is skipped, with the reason, where qemu or the sysroot is missing:

    apt-get install qemu-user-static && python delegate/arm/sysroot.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "delegate" / "arm"))

import emulate  # noqa: E402
import sysroot as sysroots  # noqa: E402

Guest = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def sysroot() -> Path:
    folder = sysroots.default_folder().resolve()
    if reason := emulate.missing(folder):
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def wheel(sysroot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For AArch64 Linux. The library is compiled in the checkout's build/, the rest elsewhere."""
    folder = tmp_path_factory.mktemp("wheel-aarch64")
    setup = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base", str(folder)]
    setup += ["build", "--build-base", str(folder / "build"), "bdist_wheel"]
    setup += ["--dist-dir", str(folder / "dist"), "--bdist-dir", str(folder / "bdist")]
    done = subprocess.run(
        setup,
        cwd=ROOT,
        env={**os.environ, "SPARSEBNN_TARGET": "aarch64-linux"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (folder / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="session")
def site(sysroot: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and what its [device] extra requires, as pip installs them on a board."""
    target = tmp_path_factory.mktemp("aarch64") / "site"
    requirements = [*sysroots.WHEELS, f"{wheel}[device]"]
    return sysroots.install_wheels(
        target, requirements, wheels=sysroot / "cache" / "wheels", stamped=False
    )


@pytest.fixture
def guest(sysroot: Path, site: Path, tmp_path: Path) -> Guest:
    """Runs the emulated Python with the wheel installed, away from the checkout."""

    def run(*arguments: object, check: bool = True, **environment: str) -> object:
        done = subprocess.run(
            [*emulate.python_command(sysroot, [site], environment), *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run
