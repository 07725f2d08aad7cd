"""Runs as tasks of a Ray cluster.

Each run is one task, which starts the same worker process as on a single machine. A task that
is lost with its machine is given to Ray again; the run goes on from its checkpoint, so all
machines need the folders of the experiment on a file system that they share.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_sparsebnn import __version__
from keras_sparsebnn._signals import kept_signals
from keras_sparsebnn.errors import SparseBNNError, one_line
from keras_sparsebnn.experiments.executor import Demand, Message, Order, is_last
from keras_sparsebnn.experiments.order_process import OrderProcess

__all__ = ["RayExecutor"]

MOST_TASKS = 1000
"""Tasks given to Ray at a time; it queues those for which no machine has room."""

MOST_LOSSES = 5
"""How often a run may be lost without finishing an epoch; once more, and it has failed."""

_PATIENCE = 120.0  # seconds in which a lost worker ends or a file server forgets its lock


class RayExecutor:
    """An `Executor` that gives every run to a Ray cluster as one task.

    Args:
        address: of the cluster; None: the one in RAY_ADDRESS, or that of this machine.
        jobs: the most runs at a time; None: as many as the cluster has room for.
        demand: what the cluster must have free for a run.
    """

    def __init__(
        self,
        address: str | None = None,
        jobs: int | None = None,
        demand: Demand = Demand(),  # noqa: B008  frozen
    ) -> None:
        self.slots = MOST_TASKS if jobs is None else jobs
        self._address = address or "auto"
        self._demand = demand
        self._orders: dict[Any, Order] = {}  # by the task's stream of messages
        self._losses: dict[str, int] = {}
        self._ray: Any = None
        self._ours = False
        self._stopping = False

    def start(self, order: Order) -> None:
        """Takes a run; connects before the first.

        Raises:
            SparseBNNError: no Ray, or no cluster.
        """
        if self._ray is None:
            self._connect()
        task = self._ray.remote(_work).options(
            name=order.name,
            num_cpus=self._demand.cpus,
            num_gpus=self._demand.gpus,
            num_returns="streaming",
            max_retries=0,  # Ray would repeat the messages, too: `_lost` starts it again
        )
        told = {**order.to_dict(), "patience": _PATIENCE, "version": __version__}
        stream = task.remote(told, str(order.log.resolve()), self._demand)
        self._orders[stream] = order

    def messages(self, seconds: float) -> Iterator[tuple[Order, Message]]:
        """What workers have said."""
        if not self._orders:
            return
        streams = list(self._orders)
        ready, _ = self._ray.wait(
            streams, num_returns=len(streams), timeout=0, fetch_local=False
        )
        if not ready:
            ready, _ = self._ray.wait(streams, timeout=seconds, fetch_local=False)
        for stream in ready:
            order = self._orders[stream]
            message = self._next(stream, order)
            if is_last(message):
                del self._orders[stream]
            elif "epoch" in message:
                self._losses.pop(order.name, None)
            elif "lost" in message:
                del self._orders[stream]
                self.start(order)
            yield order, message

    def _next(self, stream: Iterator[object], order: Order) -> Message:
        """The next message of a task; an error of Ray's as one."""
        errors = self._ray.exceptions
        try:
            return dict(self._ray.get(next(stream)))
        except errors.TaskCancelledError:
            return {"stopped": 15}
        except errors.RayTaskError as error:
            return {"failed": f"{type(error.cause).__name__}: {_one_line(error.cause)}"}
        except (errors.RayError, StopIteration) as error:
            return self._lost(order.name, error)

    def _lost(self, name: str, error: Exception) -> Message:
        if self._stopping:
            return {"stopped": 15}
        self._losses[name] = self._losses.get(name, 0) + 1
        what = f"its worker was lost ({type(error).__name__})"
        if self._losses[name] > MOST_LOSSES:
            return {
                "failed": f"Expected the run to finish, but {what} {MOST_LOSSES + 1} times."
            }
        return {"lost": True, "note": f"{what}; it goes on from its checkpoint"}

    def stop(self) -> None:
        """Cancels all tasks: those that run save a checkpoint first."""
        self._stopping = True
        for stream in self._orders:
            self._ray.cancel(stream)

    def close(self) -> None:
        """Leaves the cluster, which ends what still runs."""
        if self._ours:
            self._ray.shutdown()
            self._ours = False

    def _connect(self) -> None:
        try:
            import ray
        except ImportError as error:
            raise SparseBNNError(
                "Expected Ray for --executor ray, found none. "
                "Run: pip install 'keras-sparsebnn[cluster]'"
            ) from error
        if not ray.is_initialized():
            try:
                with kept_signals():  # Ray would end the process at SIGTERM
                    ray.init(
                        self._address,
                        log_to_driver=False,
                        logging_level="ERROR",
                        namespace="sparsebnn",
                    )
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise SparseBNNError(
                    f"Expected a Ray cluster at {self._address}, got: {_one_line(error)} Run: "
                    "ray start --head, or give --ray-address."
                ) from error
            self._ours = True
        self._ray = ray


def _one_line(error: BaseException) -> str:
    text = one_line(error)[:300]
    return text if text.endswith(".") else f"{text}."


def _work(order: Mapping[str, Any], log: str, demand: Demand) -> Iterator[Message]:
    """The task: passes on what the worker says. When Ray cancels it, the worker stops."""
    if order["version"] != __version__:
        raise SparseBNNError(
            f"Expected keras-sparsebnn {order['version']} on every machine, got {__version__} "
            f"on {platform.node()}. Install that version there."
        )
    order = {key: value for key, value in order.items() if key != "version"}
    hidden = {} if demand.gpus else {"CUDA_VISIBLE_DEVICES": "-1"}
    worker = OrderProcess(order, Path(log), demand, hidden)
    try:
        while (messages := worker.read()) is not None:
            for message in messages:  # noqa: UP028  Ray sends values, which lists refuse
                yield message
        yield worker.end()
    finally:
        worker.close()
