"""Devices by what the user calls them: `local`, `adb`, `adb:SERIAL`, `ssh:USER@HOST`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keras_sparsebnn.devices.adb import AdbShell, attached
from keras_sparsebnn.devices.android import AndroidDevice
from keras_sparsebnn.devices.board import Board
from keras_sparsebnn.devices.device import Device
from keras_sparsebnn.devices.local import LocalDevice
from keras_sparsebnn.devices.ssh import SshShell
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["Options", "open_device", "visible"]


@dataclass(frozen=True)
class Options:
    """What to do with devices.

    Attributes:
        apk: the app to install on Android; None to use the one there.
        wheels: a folder with wheels for boards.
        python: of boards.
        keep: leave on them what was sent, for the next time.
    """

    apk: Path | None = None
    wheels: Path | None = None
    python: str = "python3"
    keep: bool = False


def open_device(spec: str, options: Options | None = None) -> Device:
    """The device of that name.

    Raises:
        SparseBNNError: there is none, or it cannot be used.
    """
    options = options or Options()
    kind, _, place = spec.partition(":")
    if spec == "local":
        return LocalDevice()
    if kind == "adb":
        return AndroidDevice(AdbShell(place), apk=options.apk, keep=options.keep)
    if kind == "ssh" and place:
        return Board(
            SshShell(place), python=options.python, wheels=options.wheels, keep=options.keep
        )
    raise SparseBNNError(
        f"Expected a device: local, adb, adb:SERIAL or ssh:USER@HOST; got {spec[:100]!r}."
    )


def visible() -> list[tuple[str, str]]:
    """Devices that can be seen from here, and their states; boards cannot be.

    Raises:
        SparseBNNError: adb's server does not start.
    """
    try:
        phones = attached()
    except SparseBNNError as error:
        if "found none" not in str(error):
            raise
        phones = {}
    return [("local", "this machine"), *((f"adb:{s}", state) for s, state in phones.items())]
