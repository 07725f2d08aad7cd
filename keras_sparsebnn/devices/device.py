"""What every device can do: say what it is, and measure a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from keras_sparsebnn.devices import facts, reports
from keras_sparsebnn.devices.shell import Shell

__all__ = ["Device", "Progress", "Settings"]

Progress = Callable[[int, int], None]
"""Called with inferences done and in all."""


@dataclass(frozen=True)
class Settings:
    """What to measure, as `runtime.benchmark` takes it."""

    num_threads: int = 1
    runs: int = 50
    warmup: int = 10
    runtime: str = "compare"
    glue: bool = True
    stem: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class Device(ABC):
    """A machine to measure on.

    Args:
        shell: runs programs on it.
    """

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.spec = shell.spec

    def facts(self) -> dict[str, Any]:
        """What the device is and how it is: see `facts.read`."""
        return facts.read(self.shell)

    def measure(self, model: Path, settings: Settings, progress: Progress) -> dict[str, Any]:
        """The report of one of the models that the device was prepared for.

        Returns:
            As `runtime.report.measure`, checked; the model goes by its path here.

        Raises:
            SparseBNNError: it cannot be measured, or the report is not a valid one.
        """
        return reports.checked(self.run(model, settings, progress), str(model), self.spec)

    @abstractmethod
    def prepare(self, models: Sequence[Path]) -> None:
        """Brings what is missing to the device.

        Raises:
            SparseBNNError: what is missing cannot be had, or the device has no room.
        """

    @abstractmethod
    def run(self, model: Path, settings: Settings, progress: Progress) -> object:
        """What the device reports of a model, not checked."""

    @abstractmethod
    def clean(self) -> None:
        """Removes what `prepare` brought."""

    def stop(self) -> None:
        """Ends `measure`, from another thread."""
        self.shell.stop()
