"""Android devices through Android's own client: `adb`, `adb:SERIAL`, `adb:HOST:PORT`."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from keras_sparsebnn.devices.shell import PUSH_TIMEOUT, Output, Shell, last_line
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["AdbShell", "attached"]

_SERIAL = re.compile(r"[A-Za-z0-9][\w.:-]{0,127}", re.ASCII)
_ADDRESS = re.compile(r"[A-Za-z0-9][\w.-]*:[0-9]{1,5}", re.ASCII)
_MAX_DEVICES = 64
_ADVICE = {
    "unauthorized": "is unauthorised: unlock it and confirm this PC's key",
    "authorizing": "is unauthorised: unlock it and confirm this PC's key",
    "offline": "is offline: plug it in again, or run: adb reconnect",
    "connecting": "is offline: plug it in again, or run: adb reconnect",
    "no permissions": "may not be opened by this user: add udev's rules for it",
}


def attached() -> dict[str, str]:
    """State by serial of every device that adb sees; "device" is the good one.

    Raises:
        SparseBNNError: there is no adb here, or its server does not start.
    """
    if shutil.which("adb") is None:
        raise SparseBNNError(
            "Expected Android's program adb, found none. Run: apt-get install adb"
        )
    try:
        done = subprocess.run(
            ["adb", "devices"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SparseBNNError("Expected adb to list devices, got no answer in 60 s.") from error
    text = done.stdout[: 1 << 20].decode("utf-8", "replace")
    if done.returncode:
        reason = last_line(done.stderr.decode("utf-8", "replace") or text)
        raise SparseBNNError(f"Expected adb to list devices, got: {reason}.")
    found: dict[str, str] = {}
    for line in text.splitlines():
        serial, tab, state = line.partition("\t")
        if tab and _SERIAL.fullmatch(serial) and len(found) < _MAX_DEVICES:
            known = [name for name in _ADVICE if state.startswith(name)]
            found[serial] = known[0] if known else state.strip()[:40]
    return found


def _chosen(serial: str) -> str:
    """The serial of a device that can be used."""
    if serial and not _SERIAL.fullmatch(serial):
        raise SparseBNNError(f"Expected adb or adb:SERIAL, got adb:{serial[:100]}.")
    devices = attached()
    if _ADDRESS.fullmatch(serial) and devices.get(serial) != "device":
        try:
            subprocess.run(
                ["adb", "connect", serial],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SparseBNNError(
                f"Expected adb to connect to {serial}, got no answer in 60 s."
            ) from error
        devices = attached()
    if not serial:
        if not devices:
            raise SparseBNNError(
                "Expected a device that adb sees, found none. Switch on USB debugging in its "
                "developer options, plug it in and run: sparsebnn device list"
            )
        usable = [name for name, state in devices.items() if state == "device"]
        if len(usable) > 1:
            raise SparseBNNError(
                f"Expected one device, adb sees {', '.join(usable)}. Name one: --device "
                f"adb:{usable[0]}"
            )
        serial = (usable or list(devices))[0]
    state = devices.get(serial)
    if state is None:
        seen = f"it sees {', '.join(devices)}" if devices else "it sees none"
        raise SparseBNNError(f"Expected adb to see the device {serial}, but {seen}.")
    if state != "device":
        meaning = _ADVICE.get(state, f"is in the state {state!r}: start Android")
        raise SparseBNNError(f"Expected a device that answers, but adb:{serial} {meaning}.")
    return serial


class AdbShell(Shell):
    """The shell of an Android device.

    Args:
        serial: as `adb devices` has it, or HOST:PORT, which adb is told to connect to; the
            only device if empty.

    Raises:
        SparseBNNError: no device, several, or one that is offline or unauthorised; no adb.
    """

    def __init__(self, serial: str = "") -> None:
        self.serial = _chosen(serial)
        super().__init__(f"adb:{self.serial}")

    def _adb(self, *arguments: str) -> list[str]:
        return ["adb", "-s", self.serial, *arguments]

    def command(self, arguments: Sequence[str]) -> list[str]:
        return self._adb("shell", "-T", shlex.join(arguments))  # adb gives it to a shell

    def unreachable(self, output: Output) -> SparseBNNError | None:
        if not output.status:
            return None
        found = re.search(
            "^(?:error|adb): ((?:device|no devices|closed|protocol).*)", output.err, re.M
        )
        if found is None:
            return None
        for state, meaning in _ADVICE.items():
            if state in found[1]:
                return SparseBNNError(
                    f"Expected a device that answers, but {self.spec} {meaning}."
                )
        return SparseBNNError(
            f"Expected a device that answers, got: {found[1][:200]} ({self.spec})."
        )

    def push(self, source: Path, target: str) -> None:
        part = f"{target}.part"
        command = self._adb("push", str(source.absolute()), part)
        self.check(self.run_here(command, timeout=PUSH_TIMEOUT), "copy a file")
        # The app reads it, another user.
        script = 'chmod 644 "$1" && mv -f "$1" "$2"'
        self.check(self.run(["sh", "-c", script, "sh", part, target]), "copy a file")

    def install(self, apk: Path) -> None:
        """Installs an app, in place of an older version of it.

        Raises:
            SparseBNNError: Android's reason.
        """
        output = self.run_here(
            self._adb("install", "-r", "-t", str(apk.absolute())), timeout=PUSH_TIMEOUT
        )
        if output.status == 0 and "Success" in output.out:
            return
        said = f"{output.err}\n{output.out}"
        code = re.search(r"INSTALL_[A-Z_]+", said)
        reason = code[0] if code else said
        if "NO_MATCHING_ABIS" in reason:
            raise SparseBNNError(
                f"Expected an app for the device's ABI, but {apk.name} has no library for it "
                f"({self.spec})."
            )
        if "INSUFFICIENT_STORAGE" in reason:
            reason = "No space left"
        self.check(Output(output.status or 1, "", reason), "install the app")
