"""Boards with Linux and Python: the wheel's runtime in a folder of its own.

Nothing is installed there. If the board's Python has this version of the package and an
interpreter, it is used as it is; otherwise wheels from this machine are unpacked in the folder,
which goes away in the end unless it is to be kept. Files in it have their checksum in their
name: what is there already is not sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_sparsebnn import __version__
from keras_sparsebnn._files import sha256
from keras_sparsebnn.devices.board_answers import message_of, nonsense, reported
from keras_sparsebnn.devices.device import Device, Progress, Settings
from keras_sparsebnn.devices.shell import Shell, last_line
from keras_sparsebnn.devices.wheels import Target, fitting
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["FOLDER", "Board"]

FOLDER = "sparsebnn-benchmark"
"""The folder on the board, in the user's home."""

MACHINES = ("aarch64", "armv7l", "x86_64")
_NOT_FOUND = 127

# What the Python is and has. Old enough for any Python 3.
PROBE = """
import importlib.util, json, os, platform, sys
has = [n for n in ("numpy", "ai_edge_litert", "tflite_runtime") if importlib.util.find_spec(n)]
try:
    import keras_sparsebnn
    version = keras_sparsebnn.__version__
except ImportError:
    version = ""
# A 32-bit Python may run on a 64-bit kernel, as on Raspberry Pi OS (32-bit).
machine = platform.machine()
machine = "armv7l" if machine == "aarch64" and sys.maxsize < 2**32 else machine
libc = platform.libc_ver()
libc = libc[1] if libc[0] == "glibc" else "0.0"
print(json.dumps({"has": has, "version": version, "machine": machine, "libc": libc,
                  "python": list(sys.version_info[:2]), "home": os.getcwd()}))
"""

# Unpacks wheels as pip does into site-packages; the folder gets its name when it is whole.
UNPACK = """
import os, shutil, sys, zipfile
site, wheels = sys.argv[1], sys.argv[2:]
shutil.rmtree(site + ".part", ignore_errors=True)
for wheel in wheels:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site + ".part")
for name in os.listdir(site + ".part"):
    for kind in ("purelib", "platlib"):
        data = os.path.join(site + ".part", name, kind)
        if name.endswith(".data") and os.path.isdir(data):
            for entry in os.listdir(data):
                shutil.move(os.path.join(data, entry), site + ".part")
shutil.rmtree(site, ignore_errors=True)
os.rename(site + ".part", site)
"""


class Board(Device):
    """A board that a shell reaches.

    Args:
        shell: runs programs on it.
        python: the board's Python: a name, or a path from its user's home.
        wheels: a folder of this machine with wheels for it; None if there is none.
        keep: leave the folder on the board for the next time.
    """

    def __init__(
        self, shell: Shell, *, python: str = "python3", wheels: Path | None, keep: bool = False
    ) -> None:
        super().__init__(shell)
        self._python, self._wheels, self._keep = python, wheels, keep
        self._models: dict[Path, str] = {}
        self._folder = FOLDER
        self._site = ""

    def prepare(self, models: Sequence[Path]) -> None:
        has = self._probe()
        self._folder = f"{has['home']}/{FOLDER}"
        target = Target(has["machine"], has["python"], has["libc"])
        needed = self._missing_wheels(has, target)
        self.shell.check(self.shell.run(["mkdir", "-p", "--", self._folder]), "make a folder")
        names = [self._remote(path) for path in needed]
        if needed:
            joined = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
            self._site = f"{self._folder}/site-{joined}"
        there = self._listed()
        if needed and Path(self._site).name not in there:
            for path, name in zip(needed, names, strict=True):
                self._push(path, name, there)
            unpack = [self._python, "-c", UNPACK, self._site]
            unpack += [f"{self._folder}/{name}" for name in names]
            self.shell.check(self.shell.run(unpack, timeout=600), "unpack wheels")
        for model in models:
            self._push(model, self._remote(model), there)
            self._models[model] = f"{self._folder}/{self._remote(model)}"

    def run(self, model: Path, settings: Settings, progress: Progress) -> object:
        order = {"models": [self._models[model]], **settings.to_dict()}
        command = [self._python, "-m", "keras_sparsebnn.devices.board_process"]
        if self._site:
            command = ["env", f"PYTHONPATH={self._site}", *command]
        return reported(self.shell, command, order, progress)

    def clean(self) -> None:
        if not self._keep:
            removed = self.shell.run(["rm", "-rf", "--", self._folder])
            self.shell.check(removed, f"remove {self._folder}")

    def _probe(self) -> dict[str, Any]:
        """What the board's Python is and has."""
        output = self.shell.run([self._python, "-c", PROBE])
        if output.status == _NOT_FOUND:
            raise SparseBNNError(
                f"Expected Python on the board, found no {self._python} ({self.spec}). Run "
                "there: sudo apt-get install python3"
            )
        said = message_of(
            last_line(self.shell.check(output, "ask Python what it is"), most=4000), self.spec
        )
        try:
            has: dict[str, Any] = {
                "has": [str(name) for name in said["has"][:10]],
                "version": str(said["version"]),
                "machine": str(said["machine"])[:20],
                "python": _two(said["python"]),
                "libc": _two(str(said["libc"]).split(".")),
                "home": str(said["home"]),
            }
        except (KeyError, TypeError, ValueError) as error:
            raise nonsense(self.spec) from error
        if not has["home"].startswith("/") or len(has["home"]) > 1000:
            raise nonsense(self.spec)
        if has["machine"] not in MACHINES:
            raise SparseBNNError(
                f"Expected a machine of {', '.join(MACHINES)}, found the wrong ABI: "
                f"{has['machine']} ({self.spec})."
            )
        return has

    def _missing_wheels(self, has: Mapping[str, Any], target: Target) -> list[Path]:
        """The wheels to unpack: none, or all that the folder has for the board."""
        runtimes = {"ai_edge_litert", "tflite_runtime"}
        if has["version"] == __version__ and runtimes & set(has["has"]):
            return []
        folder = self._wheels
        found = fitting(folder.glob("*.whl"), target) if folder else {}
        own = found.get("keras_sparsebnn")
        lacking = [] if own and f"-{__version__}-" in own.name else [f"this {__version__}"]
        if "numpy" not in {*found, *has["has"]}:
            lacking.append("numpy")
        if not runtimes & {*found, *has["has"]}:
            lacking.append("ai-edge-litert or tflite-runtime")
        if lacking:
            where = f"in {folder}" if folder else "without --wheels"
            version = ".".join(map(str, target.python))
            board = "armv7" if target.machine == "armv7l" else target.machine
            raise SparseBNNError(
                f"Expected wheels of {' and '.join(lacking)} for Python {version} on "
                f"{target.machine}, found none {where} ({self.spec}). Run: make "
                f"board-{board} BOARD_PYTHON={version}; then: --wheels dist/board-{board}"
            )
        return list(found.values())

    def _remote(self, path: Path) -> str:
        """A file's name on the board."""
        return f"{sha256(path)[:16]}{path.suffix}"

    def _listed(self) -> set[str]:
        listed = self.shell.run(["ls", "-1", "--", self._folder])
        return set(self.shell.check(listed, "list a folder").splitlines()[:10_000])

    def _push(self, path: Path, name: str, there: set[str]) -> None:
        if name not in there:
            self.shell.push(path, f"{self._folder}/{name}")
            there.add(name)


def _two(version: Sequence[Any]) -> tuple[int, int]:
    major, minor = version[:2]
    return int(major), int(minor)
