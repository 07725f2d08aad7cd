"""Where work is executed: what an executor is, and what a worker is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from keras_sparsebnn._rules import check, integer, number
from keras_sparsebnn._signals import collected_signals
from keras_sparsebnn.experiments.matrix import Run
from keras_sparsebnn.training.run.folder import RunFolder

__all__ = ["Demand", "Executor", "Message", "Order", "RunOrder", "carry_out", "is_last"]

_POLL_SECONDS = 0.5

Message = dict[str, Any]
"""What a worker says: `{"epoch": 3}`, `{"candidates": 5}`, in the end `{"finished": 0.97}`,
`{"stopped": 15}` or `{"failed": "one line"}`."""


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


class Order(Protocol):
    """Work for one worker.

    Attributes:
        name: in messages, and the task's in Ray.
        log: what the worker writes to stderr.
    """

    @property
    def name(self) -> str: ...

    @property
    def log(self) -> Path: ...

    def to_dict(self) -> dict[str, Any]:
        """As JSON data, with absolute paths; "task" is a key of the worker's `TASKS`."""


@dataclasses.dataclass(frozen=True)
class RunOrder:
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
    def name(self) -> str:
        """The run's."""
        return self.run.name

    @property
    def log(self) -> Path:
        """What the worker writes to stderr."""
        return RunFolder(self.runs_dir / self.run.name).worker_log

    def to_dict(self) -> dict[str, Any]:
        """As JSON data, with absolute paths."""
        return {
            "task": "run",
            "variant": self.run.variant,
            "config": {**self.run.config.to_dict(), "data_dir": self.data_dir},
            "out": str(self.out.resolve()),
            "runs_dir": str(self.runs_dir.resolve()),
            "patience": self.patience,
        }


class Executor(Protocol):
    """Executes orders somewhere, a run from its start or its last checkpoint.

    Attributes:
        slots: how many orders may be given to it at a time.
    """

    slots: int

    def start(self, order: Order) -> None:
        """Takes an order; it may wait for room."""

    def messages(self, seconds: float) -> Iterable[tuple[Order, Message]]:
        """What workers have said, after at most so long; an order's last one is `is_last`."""

    def stop(self) -> None:
        """Asks all workers to save what they have and to end; returns at once."""

    def close(self) -> None:
        """Waits for what has been stopped, and gives everything back."""


def carry_out(
    orders: Sequence[Order], executor: Executor, hear: Callable[[Order, Message], None]
) -> tuple[list[Order], int | None]:
    """Gives orders to an executor until all have ended, or SIGINT or SIGTERM comes.

    Args:
        orders: in the order in which they are started.
        executor: not closed.
        hear: called with each message.

    Returns:
        The orders that were not started, and the signal, if one came.
    """
    waiting, active, stopped = list(orders), 0, False
    with collected_signals() as received:
        while (waiting and not received) or active:
            while waiting and not received and active < executor.slots:
                executor.start(waiting.pop(0))
                active += 1
            for order, message in executor.messages(_POLL_SECONDS):
                active -= is_last(message)
                hear(order, message)
            if received and not stopped:
                executor.stop()
                stopped = True
    return waiting, received[0] if received else None
