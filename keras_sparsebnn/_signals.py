"""SIGINT and SIGTERM, collected so that work can be saved before the process ends."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["collected_signals", "kept_signals"]

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def collected_signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM instead of dying; a second one kills as usual."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # Python allows handlers in the main thread only
        return
    before = {number: signal.getsignal(number) for number in _NUMBERS}

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for each in _NUMBERS:
            signal.signal(each, before[each])

    with kept_signals():
        for number in _NUMBERS:
            signal.signal(number, handle)
        yield received


@contextlib.contextmanager
def kept_signals() -> Iterator[None]:
    """Restores the handlers of SIGINT and SIGTERM at the end, for code that sets its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    try:
        yield
    finally:
        for number in _NUMBERS:
            signal.signal(number, before[number])
