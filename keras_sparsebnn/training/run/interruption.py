"""SIGINT and SIGTERM while training: a checkpoint first, then an end that says so."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["TrainingInterruptedError", "collected_signals"]


class TrainingInterruptedError(SparseBNNError):
    """SIGINT or SIGTERM stopped a run, after a checkpoint.

    Attributes:
        signal: which.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = number


@contextlib.contextmanager
def collected_signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM instead of dying; a second one kills as usual."""
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield received  # Python allows handlers in the main thread only
        return
    before = {number: signal.getsignal(number) for number in numbers}

    def handle(number: int, frame: Any) -> None:
        received.append(number)
        for each in numbers:
            signal.signal(each, before[each])

    for number in numbers:
        signal.signal(number, handle)
    try:
        yield received
    finally:
        for number in numbers:
            signal.signal(number, before[number])
