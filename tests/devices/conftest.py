"""A phone and a board on loopback: the real `adb` with a device's side of ours, a real `sshd`.

Where a program is missing, the tests are skipped with the reason, or fail in CI.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from keras_sparsebnn.cli import main
from tests.devices.adb_device import AdbDevice

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

MODEL = HERE.parent / "golden" / "subbit_v1.tflite"
FAST = ("--runs", "2", "--warmup", "1", "--no-local", "--cooldown", "0")

# What a board's shell needs, and nothing else: no Python.
TOOLS = ("sh", "cat", "mv", "mkdir", "ls", "rm", "env", "uname", "head", "tr", "grep", "sleep")

PROPERTIES = """\
ro.product.manufacturer=Maker
ro.product.model=Phone 1
ro.product.cpu.abi=arm64-v8a
ro.build.version.release=14
ro.build.version.sdk=34
ro.soc.manufacturer=Chips
ro.soc.model=C100
"""

# Android's programs, as far as they are used; $PHONE is the phone's folder.
PROGRAMS = {
    "am": f'exec {sys.executable} {HERE / "am.py"} "$@"',
    "getprop": 'sed -n "s/^$1=//p" "$PHONE/properties"',
    "dumpsys": 'printf "  level: 80\\n  temperature: 285\\n"',
    "pm": """
refused=$PHONE/install_refused app=$PHONE/data/app/base.apk
case $1 in
path) [ ! -e "$app" ] || echo package:/data/app/base.apk ;;
install)
  [ ! -e "$refused" ] || { echo "Failure [$(cat "$refused")]"; exit 1; }
  while [ $# -gt 1 ]; do shift; done
  cp "$1" "$app" && echo Success ;;
esac""",
}


def lacks(reason: str) -> NoReturn:
    """Skips a test; in CI (SPARSEBNN_DEVICES=required) it fails."""
    if os.environ.get("SPARSEBNN_DEVICES") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def fails(capsys):
    """A benchmark that must fail: its one line on stderr."""

    def run(device: str, *options: object) -> str:
        command = ["benchmark", MODEL, "--device", device, *FAST, *options]
        assert main(list(map(str, command))) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert line.startswith("sparsebnn benchmark: error: ")
        return line

    return run


def script(path: Path, text: str) -> None:
    """An executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def own_adb_server(home: Path) -> Iterator[None]:
    """An adb server that knows no device but those that are connected to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
        patch.setenv("HOME", str(home))
        subprocess.run(["adb", "start-server"], check=True, capture_output=True)
        try:
            yield
        finally:
            subprocess.run(["adb", "kill-server"], check=False, capture_output=True)


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if shutil.which("adb") is None:
        lacks("needs adb; run: apt-get install adb")
    with own_adb_server(tmp_path_factory.mktemp("adb-home")):
        yield


class Phone(AdbDevice):
    """A device with `PROGRAMS`.

    Args:
        root: the folder of the phone.
        measure: the command that measures as `devices.board_process` does.
    """

    def __init__(
        self, root: Path, measure: Sequence[str] | None = None, mode: str = "device"
    ) -> None:
        for folder in ("data/local/tmp", "data/app", "bin"):
            (root / folder).mkdir(parents=True)
        for name, text in PROGRAMS.items():
            script(root / "bin" / name, f"#!/bin/sh\n{text}\n")
        self.properties = root / "properties"
        self.properties.write_text(PROPERTIES)
        self.app = root / "data" / "app" / "base.apk"
        self.app.write_bytes(b"an app")
        self.folder = root / "data" / "local" / "tmp" / "sparsebnn-benchmark"
        own = [sys.executable, "-m", "keras_sparsebnn.devices.board_process"]
        measure = measure or own
        environment = {"PHONE": str(root), "MEASURE": "\n".join(measure)}
        super().__init__(root, {**environment, "PYTHONPATH": str(ROOT)}, mode)

    def says(self, text: str) -> None:
        """From now on, `am instrument` prints this."""
        (self.root / "am_says").write_text(text)


@pytest.fixture
def phone(adb_server: None, tmp_path: Path) -> Iterator[Callable[..., Phone]]:
    """Makes phones."""
    made: list[Phone] = []

    def make(**options: object) -> Phone:
        made.append(Phone(tmp_path / f"phone{len(made)}", **options))
        return made[-1]

    yield make
    for each in made:
        each.close()
        subprocess.run(["adb", "disconnect", each.serial], check=False, capture_output=True)


@dataclass
class BoardHost:
    """A machine behind sshd.

    Attributes:
        home: the folder that its commands start in.
        programs: the only folder on its PATH.
        name: what ssh calls it.
    """

    home: Path
    programs: Path
    name: str = "board"

    @property
    def folder(self) -> Path:
        return self.home / "sparsebnn-benchmark"

    def python(self, *command: object) -> None:
        """Gives it a Python: this one, unless a command is named."""
        words = [*map(str, command)] or [sys.executable]
        line = " ".join(f"'{word}'" for word in words)
        script(
            self.programs / "python3",
            f'#!/bin/sh\nexport PYTHONPATH=$PYTHONPATH:{ROOT}\nexec {line} "$@"\n'
            if not command
            else f'#!/bin/sh\nexec {line} "$@"\n',
        )


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A server on loopback for this user; the folder of its board, and its port."""
    server = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if server is None or shutil.which("ssh-keygen") is None:
        lacks("needs sshd; run: apt-get install openssh-server")
    folder = tmp_path_factory.mktemp("sshd")
    board = folder / "board"
    (board / "bin").mkdir(parents=True)
    for name in ("host_key", "key", "strange_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    shutil.copy(folder / "key.pub", folder / "authorized_keys")
    port = free_port()
    force = f'cd {board}/home && PATH={board}/bin && eval "$SSH_ORIGINAL_COMMAND"'
    lines = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host_key",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "ForceCommand": force,
    }
    config = folder / "sshd_config"
    config.write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    log = folder / "log"
    running = subprocess.Popen([server, "-D", "-f", config, "-E", log])
    try:
        _wait_for(port, running, log)
        yield folder, port
    finally:
        running.terminate()
        running.wait()


def _wait_for(port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if running.poll() is not None:
            lacks(f"sshd does not run here: {log.read_text()[-200:]}")
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"sshd does not listen: {log.read_text()}")


@pytest.fixture
def board(sshd: tuple[Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BoardHost:
    """The board, with a Python; ssh knows it by the names below."""
    folder, port = sshd
    user = pwd.getpwuid(os.getuid()).pw_name
    known = tmp_path / "known_hosts"
    host_key = (folder / "host_key.pub").read_text().split()[:2]
    known.write_text(f"[127.0.0.1]:{port} {' '.join(host_key)}\n")
    common = "  HostName 127.0.0.1\n  IdentitiesOnly yes\n"
    hosts = {
        "board": (port, "key", known),
        "unauthorised": (port, "strange_key", known),
        "unknown": (port, "key", tmp_path / "nothing"),
        "offline": (free_port(), "key", known),
    }
    text = ""
    for name, (number, key, file) in hosts.items():
        text += f"Host {name}\n{common}  User {user}\n  Port {number}\n"
        text += f"  IdentityFile {folder / key}\n  UserKnownHostsFile {file}\n"
    config = tmp_path / "ssh_config"
    config.write_text(text)
    real = shutil.which("ssh")
    script(tmp_path / "bin" / "ssh", f'#!/bin/sh\nexec {real} -F {config} "$@"\n')
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    monkeypatch.setenv("PATH", path)
    made = BoardHost(folder / "board" / "home", folder / "board" / "bin")
    for place in (made.home, made.programs):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
    for tool in TOOLS:
        (made.programs / tool).symlink_to(shutil.which(tool))
    made.python()
    return made
