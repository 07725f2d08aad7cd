"""Starts the process that runs one model, and talks to it; `worker` is its other end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["WorkerProcess"]


class WorkerProcess:
    """The process of one model in one runtime.

    Args:
        model: the path of a `.tflite`.
        options: `Interpreter`'s, `runtime` among them.

    Raises:
        SparseBNNError: as `Interpreter`, or the process died.
    """

    def __init__(self, model: str, **options: str | int) -> None:
        self.model = model
        # The worker imports from exactly where this process does.
        search = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        environment = {**os.environ, "PYTHONPATH": search, "PYTHONSAFEPATH": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "keras_sparsebnn.runtime.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        try:
            reply = self._ask(model=model, **options)
        except BaseException:
            self.close()
            raise
        self.runtime = str(reply["runtime"])

    def _ask(self, **message: str | int) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SparseBNNError(
                f"Expected the interpreter to run, but its process died with status "
                f"{self._process.wait()} ({self.model}). It was killed, ran out of memory, or "
                "the file is damaged."
            )
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise SparseBNNError(reply["error"])
        return reply

    def run(self, times: int) -> list[float]:
        """Seconds of each of `times` inferences."""
        return list(self._ask(run=times)["seconds"])

    def profile(self) -> list[dict[str, Any]]:
        """As `Interpreter.profile`."""
        return list(self._ask(profile=True)["nodes"])

    def peak_memory_bytes(self) -> int | None:
        """By how much the model raised the peak; None where the system does not say."""
        peak = self._ask(memory=True)["peak_memory_bytes"]
        return None if peak is None else int(peak)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # What a dead worker did not read cannot be flushed.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
