"""This machine as a device, so that it stands in the same table: `local`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from keras_sparsebnn.devices.board_answers import reported
from keras_sparsebnn.devices.device import Device, Progress, Settings
from keras_sparsebnn.devices.shell import Output, Shell
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["LocalDevice", "LocalShell"]

_PACKAGES = Path(__file__).resolve().parents[2]
"""The folder that this package is imported from."""


class LocalShell(Shell):
    """Runs programs here."""

    def __init__(self) -> None:
        super().__init__("local")

    def command(self, arguments: Sequence[str]) -> list[str]:
        return list(arguments)

    def unreachable(self, output: Output) -> SparseBNNError | None:
        return None


class LocalDevice(Device):
    """The machine that this runs on, with the package that this is."""

    def __init__(self) -> None:
        super().__init__(LocalShell())

    def prepare(self, models: Sequence[Path]) -> None:
        """There is nothing to do."""

    def run(self, model: Path, settings: Settings, progress: Progress) -> object:
        # In a process of its own, as on a board: native code cannot be stopped from a thread.
        start = (
            f"import sys; sys.path.insert(0, {str(_PACKAGES)!r}); "
            "from keras_sparsebnn.devices.board_process import main; main()"
        )
        order = {"models": [str(model)], **settings.to_dict()}
        return reported(self.shell, [sys.executable, "-c", start], order, progress)

    def clean(self) -> None:
        """There is nothing to do."""
