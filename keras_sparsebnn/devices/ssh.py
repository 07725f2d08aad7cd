"""Boards through OpenSSH's client: `ssh:USER@HOST`, `ssh:HOST`, `ssh:USER@HOST:PORT`.

HOST may be a name of ~/.ssh/config. No password is ever asked for: keys only.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence

from keras_sparsebnn.devices.shell import Output, Shell, last_line
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["SshShell"]

_PLACE = re.compile(
    r"(?P<user>[A-Za-z0-9_][\w.-]{0,63}@)?"
    r"(?P<host>[A-Za-z0-9][\w.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}(?:%\w{1,15})?\])"
    r"(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "30",
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "4",
    "LogLevel": "ERROR",
}
_FAILED = 255
"""ssh's own status."""

# What ssh says -> what it means, and what to do; the first that fits.
_REASONS = (
    ("Permission denied", "is unauthorised", "Run: ssh-copy-id {place}"),
    ("Too many authentication", "is unauthorised", "Run: ssh-copy-id {place}"),
    ("Host key verification failed", "has an unknown key", "Run once: ssh {place}"),
    ("Could not resolve", "is unknown by that name", "Check the name, or take its address."),
    ("refused", "is offline: it has no ssh server", "Enable ssh on the board."),
    ("timed out", "is offline", "Is it switched on and in this network?"),
    ("No route", "is offline", "Is it switched on and in this network?"),
    ("unreachable", "is offline", "Is it switched on and in this network?"),
)


class SshShell(Shell):
    """The login shell of a user on a board.

    Args:
        place: `[USER@]HOST[:PORT]`, an IPv6 address in brackets.

    Raises:
        SparseBNNError: `place` is not valid, or there is no ssh here.
    """

    def __init__(self, place: str) -> None:
        super().__init__(f"ssh:{place}")
        found = _PLACE.fullmatch(place)
        if found is None:
            raise SparseBNNError(
                f"Expected ssh:USER@HOST or ssh:USER@HOST:PORT, got {self.spec[:100]}."
            )
        if shutil.which("ssh") is None:
            raise SparseBNNError(
                f"Expected the program ssh, found none ({self.spec}). "
                "Run: apt-get install openssh-client"
            )
        self.place = (found["user"] or "") + found["host"].strip("[]")
        self._port = ["-p", found["port"]] if found["port"] else []

    def command(self, arguments: Sequence[str]) -> list[str]:
        options = [part for item in _OPTIONS.items() for part in ("-o", "=".join(item))]
        there = shlex.join(arguments)  # sshd gives it to a shell
        return ["ssh", "-T", *options, *self._port, "--", self.place, there]

    def unreachable(self, output: Output) -> SparseBNNError | None:
        if output.status != _FAILED:
            return None
        for said, meaning, advice in _REASONS:
            if said in output.err:
                return SparseBNNError(
                    f"Expected a board that answers, but {self.place} {meaning} "
                    f"({self.spec}). {advice.format(place=self.place)}"
                )
        return SparseBNNError(
            f"Expected a board that answers, got: {last_line(output.err)} ({self.spec})."
        )
