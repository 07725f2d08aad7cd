"""Runs as processes of this machine."""

from __future__ import annotations

import selectors
from collections.abc import Iterator

from keras_sparsebnn._rules import check, integer
from keras_sparsebnn.experiments.executor import Demand, Message, Order
from keras_sparsebnn.experiments.order_process import OrderProcess

__all__ = ["LocalExecutor"]


class LocalExecutor:
    """An `Executor` of worker processes.

    Args:
        jobs: how many at a time.
        demand: of each run.

    Raises:
        SparseBNNError: `jobs` is not a number of workers.
    """

    def __init__(self, jobs: int = 1, demand: Demand = Demand()) -> None:  # noqa: B008  frozen
        check("jobs", jobs, integer(1, 10_000))
        self.slots = jobs
        self._demand = demand
        self._workers: list[OrderProcess] = []
        self._selector = selectors.DefaultSelector()

    def start(self, order: Order) -> None:
        """Takes a run."""
        worker = OrderProcess(order.to_dict(), order.log, self._demand)
        self._workers.append(worker)
        self._selector.register(worker.output, selectors.EVENT_READ, (order, worker))

    def messages(self, seconds: float) -> Iterator[tuple[Order, Message]]:
        """What workers have said."""
        for key, _ in self._selector.select(seconds):
            order, worker = key.data
            messages = worker.read()
            if messages is None:
                self._selector.unregister(worker.output)
                self._workers.remove(worker)
                messages = [worker.end()]
                worker.close()
            for message in messages:
                yield order, message

    def stop(self) -> None:
        """Asks all to save a checkpoint and to end."""
        for worker in self._workers:
            worker.stop()

    def close(self) -> None:
        """Waits for all."""
        self.stop()
        for worker in self._workers:
            worker.close()
        self._selector.close()
