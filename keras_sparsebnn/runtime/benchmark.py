"""Latency and memory of `.tflite` files, measured fairly.

Every model in every runtime gets a process of its own, so that its peak memory can be measured
and a crash affects no other. The processes take turns in blocks of `BLOCK` inferences, so that
a machine that is slow for a while slows all of them alike. Only the inference itself is timed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_sparsebnn._rules import count
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime.interpreter import MAX_THREADS, choose_runtime
from keras_sparsebnn.runtime.lce_backend import lce_installed
from keras_sparsebnn.runtime.model_file import custom_ops, load
from keras_sparsebnn.runtime.worker_process import WorkerProcess

__all__ = ["Timing", "benchmark", "comparable_runtimes"]

BLOCK = 10
"""Inferences a model runs in a row: they refill the caches, and are too few for any drift."""

MAX_RUNS = 1_000_000


@dataclass(frozen=True)
class Timing:
    """How long one inference of a model takes, and how much memory.

    Attributes:
        model: the file.
        runtime: what ran it: "lce", "litert", "tflite-runtime" or "tf.lite", or "delegate on"
            one of the last three.
        num_threads: threads of one inference.
        first_ms: the very first inference, which allocates.
        warmup: inferences before timing began, the first included.
        runs: inferences timed.
        median_ms: median.
        p90_ms: 90th percentile.
        min_ms: fastest.
        spread: interquartile range / median, so 0.05 means a quiet machine.
        peak_memory_bytes: by how much loading and running raised the process's peak resident
            memory, interpreter library excluded; None where the system does not say.
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


def comparable_runtimes(model: str | os.PathLike[str]) -> list[str]:
    """Runtimes to compare on a model: the default one, and LCE's if it can run the model.

    Raises:
        SparseBNNError: the file is damaged.
        OSError: the file cannot be read.
    """
    file, name = load(model)
    ops = custom_ops(file)
    chosen = choose_runtime("auto", ops, name)
    if chosen != "delegate" or not lce_installed():
        return [chosen]
    try:
        return [chosen, choose_runtime("lce", ops, name)]
    except SparseBNNError:
        return [chosen]  # sub-bit


def benchmark(
    models: Sequence[str | os.PathLike[str]],
    *,
    num_threads: int | Sequence[int] = 1,
    runs: int = 50,
    warmup: int = 10,
    runtime: str | Sequence[str] = "auto",
    glue: bool = True,
    stem: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[Timing]:
    """Times models and runtimes against each other, on random inputs, interleaved.

    Args:
        models: paths of `.tflite` files.
        num_threads: threads of one inference, 1 to 256; or several such numbers, and every
            model runs with each.
        runs: inferences to time per model, at least 1.
        warmup: inferences before that, at least 1.
        runtime: as in `Interpreter`; or several, and every model runs in each; or "compare",
            and every model runs in all of `comparable_runtimes`.
        glue: as in `Interpreter`, of the delegate.
        stem: likewise.
        progress: called with (inferences done, inferences in all).

    Returns:
        One timing per model, runtime and number of threads, those of a model together.

    Raises:
        SparseBNNError: a file or an option is wrong, or an interpreter is missing or died.
        OSError: a file cannot be read.
    """
    if isinstance(models, (str, bytes)) or not models:
        raise SparseBNNError(f"Expected a list of .tflite paths, got {models!r}.")
    runs, warmup = count("runs", runs, MAX_RUNS), count("warmup", warmup, MAX_RUNS)
    counts = list(num_threads) if isinstance(num_threads, Sequence) else [num_threads]
    if not counts:
        raise SparseBNNError("Expected `num_threads` to be a number or several, got none.")
    counts = [count("num_threads", threads, MAX_THREADS) for threads in counts]
    blocks = [min(BLOCK, runs - start) for start in range(0, runs, BLOCK)]
    cases = [
        (os.fspath(model), name, threads)
        for model in models
        for name in _runtimes(model, runtime)
        for threads in counts
    ]
    total = len(cases) * (warmup + runs)
    done = 0

    def report(inferences: int) -> None:
        nonlocal done
        done += inferences
        if progress is not None:
            progress(done, total)

    workers: list[WorkerProcess] = []
    try:
        for model, name, threads in cases:
            pinned = {}
            if name not in ("lce", "litert"):
                pinned = {key: 0 for key, on in (("glue", glue), ("stem", stem)) if not on}
            workers.append(WorkerProcess(model, runtime=name, num_threads=threads, **pinned))
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
            _timing(worker, one, measured, threads, warmup)
            for worker, one, measured, (_, _, threads) in zip(
                workers, first, seconds, cases, strict=True
            )
        ]
    finally:
        for worker in workers:
            worker.close()


def _runtimes(model: str | os.PathLike[str], runtime: str | Sequence[str]) -> Sequence[str]:
    if runtime == "compare":
        return comparable_runtimes(model)
    return [runtime] if isinstance(runtime, str) else runtime


def _timing(
    worker: WorkerProcess, first: float, seconds: list[float], num_threads: int, warmup: int
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
