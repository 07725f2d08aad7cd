"""Builds of the Android library and app without Android's SDK, NDK and Gradle."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "android"


class ToolError(RuntimeError):
    """A step of a build failed."""


class MissingError(ToolError):
    """This machine lacks a tool or a package; the message is one line."""


def run(command: Sequence[str | Path], what: str, **options: object) -> str:
    """Runs to the end and returns what was printed.

    Raises:
        ToolError: with all that it said.
    """
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    if done.returncode:
        raise ToolError(f"{what} failed ({done.returncode}):\n{done.stdout.strip()}")
    return done.stdout
