"""The CPU time of a run, over all the processes that worked on it."""

from __future__ import annotations

import time
from pathlib import Path

from keras_sparsebnn._files import read_json, write_json

__all__ = ["CpuClock"]

_FILE = "cpu_seconds.json"


class CpuClock:
    """Counts from what an earlier process saved in the run's folder.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._before = 0.0
        if self._path.exists():
            before = read_json(self._path).get("cpu_seconds")
            self._before = before if isinstance(before, float) and before >= 0 else 0.0

    def seconds(self) -> float:
        """So far."""
        return self._before + time.process_time()

    def save(self) -> None:
        """For the next process."""
        write_json(self._path, {"cpu_seconds": self.seconds()})
