"""Where the runs of a matrix are executed: what an executor is, and what a worker is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from keras_sparsebnn._rules import check, integer, number
from keras_sparsebnn.experiments.matrix import Run
from keras_sparsebnn.training.run.folder import RunFolder

__all__ = ["Demand", "Executor", "Message", "Order", "is_last"]

Message = dict[str, Any]
"""What a worker says: `{"epoch": 3}`, in the end `{"finished": 0.97}`, `{"stopped": 15}` or
`{"failed": "one line"}`."""


def is_last(message: Message) -> bool:
    """Whether it ends a run."""
    return not {"finished", "stopped", "failed"}.isdisjoint(message)


@dataclasses.dataclass(frozen=True)
class Demand:
    """What one run takes of a machine.

    Attributes:
        cpus: threads that it computes with. Sums may round otherwise with another number.
        gpus: may be a fraction, for runs that share one; 0: it sees none. The local executor
            shows every run all GPUs.

    Raises:
        SparseBNNError: out of range.
    """

    cpus: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        check("cpus", self.cpus, integer(1, 1024))
        check("gpus", self.gpus, number(0, 1024))


@dataclasses.dataclass(frozen=True)
class Order:
    """One run, as a worker is told to make it.

    Attributes:
        run: its name and setting.
        out: gets its record.
        runs_dir: gets its folder.
        data_dir: of prepared data sets.
        patience: seconds to wait for a lost predecessor to let go of the folder.
    """

    run: Run
    out: Path
    runs_dir: Path
    data_dir: str | None = None
    patience: float = 0.0

    @property
    def log(self) -> Path:
        """What the worker writes to stderr."""
        return RunFolder(self.runs_dir / self.run.name).worker_log

    def to_dict(self) -> dict[str, Any]:
        """As JSON data, with absolute paths."""
        return {
            "variant": self.run.variant,
            "config": {**self.run.config.to_dict(), "data_dir": self.data_dir},
            "out": str(self.out.resolve()),
            "runs_dir": str(self.runs_dir.resolve()),
            "patience": self.patience,
        }


class Executor(Protocol):
    """Executes runs somewhere, each from its start or its last checkpoint.

    Attributes:
        slots: how many runs may be given to it at a time.
    """

    slots: int

    def start(self, order: Order) -> None:
        """Takes a run; it may wait for room."""

    def messages(self, seconds: float) -> Iterable[tuple[Order, Message]]:
        """What workers have said, after at most so long; a run's last one is `is_last`."""

    def stop(self) -> None:
        """Asks all runs to save a checkpoint and to end; returns at once."""

    def close(self) -> None:
        """Waits for what has been stopped, and gives everything back."""
