"""This machine as a device, so that it stands in the same table: `local`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from keras_sparsebnn.devices.device import Device, Progress, Settings
from keras_sparsebnn.devices.shell import Output, Shell
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["LocalDevice", "LocalShell"]


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
        self._stopped = threading.Event()

    def prepare(self, models: Sequence[Path]) -> None:
        """There is nothing to do."""

    def run(self, model: Path, settings: Settings, progress: Progress) -> object:
        from keras_sparsebnn.runtime.report import measure

        def tell(done: int, total: int) -> None:
            if self._stopped.is_set():
                raise SparseBNNError("Expected to go on, but was stopped (local).")
            progress(done, total)

        return measure([model], progress=tell, **settings.to_dict())

    def stop(self) -> None:
        self._stopped.set()

    def clean(self) -> None:
        """There is nothing to do."""
