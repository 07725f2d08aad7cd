"""Latency and memory of `.tflite` files, measured fairly.

Every model gets a fresh process of its own, so that its peak memory is its own and a crash
takes nothing else down. The processes take turns in blocks of `BLOCK` inferences: what slows
the machine for a while slows all models alike. Only the inference itself is timed.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["Timing", "benchmark"]

BLOCK = 10
"""Inferences a model runs in a row: enough to be back in cache, short against any drift."""

MAX_RUNS = 1_000_000


@dataclass(frozen=True)
class Timing:
    """How long one inference of a model takes, and how much memory.

    Attributes:
        model: the file.
        runtime: what ran it: "lce", "litert", "tflite-runtime" or "tf.lite".
        num_threads: threads of one inference.
        first_ms: the very first inference, which allocates.
        warmup: inferences before timing began, the first included.
        runs: inferences timed.
        median_ms: median.
        p90_ms: 90th percentile.
        min_ms: fastest.
        spread: interquartile range / median, so 0.05 means a quiet machine.
        peak_memory_bytes: how far loading and running raised the process's peak resident
            memory, interpreter library excluded; None where the system does not tell.
    """

    model: str
    runtime: str
    num_threads: int
    first_ms: float
    warmup: int
    runs: int
    median_ms: float
    p90_ms: float
    min_ms: float
    spread: float
    peak_memory_bytes: int | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class _Worker:
    """The process of one model; see `keras_sparsebnn.runtime.worker` for its protocol."""

    def __init__(self, model: str, num_threads: int, runtime: str) -> None:
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
            reply = self._ask(model=model, num_threads=num_threads, runtime=runtime)
        except BaseException:
            self.close()
            raise
        self.runtime = str(reply["runtime"])

    def _ask(self, **message: Any) -> dict[str, Any]:
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

    def peak_memory_bytes(self) -> int | None:
        peak = self._ask(memory=True)["peak_memory_bytes"]
        return None if peak is None else int(peak)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # What a dead worker did not read cannot be flushed.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def benchmark(
    models: Sequence[str | os.PathLike[str]],
    *,
    num_threads: int = 1,
    runs: int = 50,
    warmup: int = 10,
    runtime: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[Timing]:
    """Times models against each other, on random inputs, interleaved.

    Args:
        models: paths of `.tflite` files.
        num_threads: threads of one inference, 1 to 256.
        runs: inferences to time per model, at least 1.
        warmup: inferences before that, at least 1.
        runtime: as in `Interpreter`.
        progress: called with (inferences done, inferences in all).

    Raises:
        SparseBNNError: a file or an option is wrong, or an interpreter is missing or died.
        OSError: a file cannot be read.
    """
    if isinstance(models, (str, bytes)) or not models:
        raise SparseBNNError(f"Expected a list of .tflite paths, got {models!r}.")
    for name, value in (("runs", runs), ("warmup", warmup)):
        if not 1 <= value <= MAX_RUNS:
            raise SparseBNNError(f"Expected `{name}` to be in [1, {MAX_RUNS}], got {value}.")
    blocks = [min(BLOCK, runs - start) for start in range(0, runs, BLOCK)]
    total = len(models) * (warmup + runs)
    done = 0

    def report(inferences: int) -> None:
        nonlocal done
        done += inferences
        if progress is not None:
            progress(done, total)

    workers: list[_Worker] = []
    try:
        for model in models:
            workers.append(_Worker(os.fspath(model), num_threads, runtime))
        first = []
        for worker in workers:
            first.append(worker.run(warmup)[0])
            report(warmup)
        seconds: list[list[float]] = [[] for _ in workers]
        for block in blocks:
            for worker, measured in zip(workers, seconds, strict=True):
                measured += worker.run(block)
                report(block)
        return [
            _timing(worker, one, measured, num_threads, warmup)
            for worker, one, measured in zip(workers, first, seconds, strict=True)
        ]
    finally:
        for worker in workers:
            worker.close()


def _timing(
    worker: _Worker, first: float, seconds: list[float], num_threads: int, warmup: int
) -> Timing:
    ms = 1e3 * np.asarray(seconds)
    q25, median, q75, p90 = np.percentile(ms, [25, 50, 75, 90])
    return Timing(
        model=worker.model,
        runtime=worker.runtime,
        num_threads=num_threads,
        first_ms=1e3 * first,
        warmup=warmup,
        runs=len(seconds),
        median_ms=float(median),
        p90_ms=float(p90),
        min_ms=float(ms.min()),
        spread=float((q75 - q25) / median) if median else 0.0,
        peak_memory_bytes=worker.peak_memory_bytes(),
    )
