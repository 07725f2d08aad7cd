"""Runs a matrix in worker processes; a finished run is never run again.

A run is finished if it has a record, which is written completely or not at all. An unfinished
run continues from the checkpoints of `train`. So the runner has no state of its own that a kill
could damage.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from keras_sparsebnn._files import locked
from keras_sparsebnn._signals import collected_signals
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments.matrix import Matrix, Run
from keras_sparsebnn.experiments.results import Result, read_results, result_path
from keras_sparsebnn.training.run.folder import RunFolder
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["Outcome", "run_matrix", "states"]

_WORKER = "keras_sparsebnn.cli.experiment_worker"
_ONE_THREAD = dict.fromkeys(
    ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1"
)
_POLL_SECONDS = 0.5


@dataclasses.dataclass
class Outcome:
    """The outcome of running a matrix.

    Attributes:
        finished: names of runs with a result, old and new.
        failed: names -> why, in one line.
        left: names of runs without a result, because a signal stopped the runner.
        signal: that signal, or None.
    """

    finished: list[str] = dataclasses.field(default_factory=list)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    left: list[str] = dataclasses.field(default_factory=list)
    signal: int | None = None


def _finished(run: Run, out: Path, results: Mapping[str, Result]) -> bool:
    """Whether the run has a result with the same setting.

    Raises:
        SparseBNNError: the result has another setting, or its file is damaged.
    """
    if run.name not in results:
        path = result_path(out, run)
        if path.exists():
            Result.load(path)
        return False
    result = results[run.name]
    stored = RunConfig.from_dict(result.config, result.where)
    key = run.config.first_difference(stored)
    if key is not None:
        raise SparseBNNError(
            f"Expected the matrix's setting in {result.where}, got another `{key}`: "
            f"{getattr(stored, key)!r:.60} instead of {getattr(run.config, key)!r:.60}. "
            "Rename the variant, use another folder, or remove that record."
        )
    return True


def _recorded(out: Path) -> dict[str, Result]:
    results = read_results(out)[0] if out.is_dir() else []
    return {result.name: result for result in results}


def states(matrix: Matrix, out: Path, runs_dir: Path) -> dict[str, str]:
    """Name -> "finished", "started", "to do", or why its result cannot be used."""
    found, results = {}, _recorded(out)
    for run in matrix.runs:
        try:
            if _finished(run, out, results):
                found[run.name] = "finished"
            else:
                started = RunFolder(runs_dir / run.name).settings.exists()
                found[run.name] = "started" if started else "to do"
        except (SparseBNNError, OSError) as error:
            found[run.name] = str(error)
    return found


class _Worker:
    """One run in progress, in another process."""

    def __init__(self, run: Run, out: Path, runs_dir: Path, data_dir: str | None) -> None:
        self.run = run
        self.epochs = 0
        self.stopping = False
        self.last: dict[str, Any] = {}
        self._rest = b""
        folder = runs_dir / run.name
        folder.mkdir(parents=True, exist_ok=True)
        self.log = RunFolder(folder).worker_log
        config = {**run.config.to_dict(), "data_dir": data_dir}
        order = {
            "variant": run.variant,
            "config": config,
            "out": str(out.resolve()),
            "runs_dir": str(runs_dir.resolve()),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **_ONE_THREAD},
                start_new_session=True,  # Ctrl-C comes to the runner alone, which passes it on
            )
        self.input.write(json.dumps(order).encode() + b"\n")
        self.input.flush()

    @property
    def input(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def output(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def read(self) -> bool:
        """Reads the worker's messages; False once it has ended."""
        block = self.output.read1()  # type: ignore[attr-defined]
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):  # something else printed
                message = json.loads(line)
                if isinstance(message, dict):
                    self.last = message
                    self.epochs = message.get("epoch", self.epochs)
        return bool(block)

    def stop(self) -> None:
        """Asks it to save a checkpoint and to end."""
        self.stopping = True
        with contextlib.suppress(OSError):
            self.input.close()

    def failure(self) -> str:
        if "failed" in self.last:
            return str(self.last["failed"])
        status = self.process.returncode
        how = f"signal {-status}" if status < 0 else f"status {status}"
        return f"Expected the run to finish, got {how}. See {self.log}."

    def close(self) -> None:
        self.stop()
        self.process.wait()
        self.output.close()


def run_matrix(
    matrix: Matrix,
    out: Path,
    *,
    runs_dir: Path,
    data_dir: str | None = None,
    jobs: int = 1,
    report: Callable[[str], None] = lambda line: None,
    progress: Callable[[float], None] = lambda runs: None,
) -> Outcome:
    """Executes every run that has no result yet, `jobs` at a time.

    Args:
        matrix: what to run.
        out: gets a record for each finished run, a line in `<dataset>.jsonl`.
        runs_dir: gets a folder for each run: checkpoints while it runs, then the model.
        data_dir: the folder of prepared datasets; not part of a result.
        jobs: worker processes. Each computes with one thread, so results do not depend on it.
        report: gets a line about each run that ends.
        progress: gets the amount of work done since it was called last, in runs.

    Returns:
        The finished, failed and remaining runs. Runs that fail do not stop others.

    Raises:
        SparseBNNError: another runner works in `runs_dir`.
        OSError: a folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    outcome = Outcome()
    waiting: list[Run] = []
    found = states(matrix, out, runs_dir)
    for reason in set(read_results(out)[1]) - set(found.values()):
        report(f"skipped: {reason}")
    for run in matrix.runs:
        state = found[run.name]
        if state == "finished":
            outcome.finished.append(run.name)
        elif state in ("started", "to do"):
            waiting.append(run)
        else:
            outcome.failed[run.name] = state
            report(f"{run.name}: {state}")
    if not waiting:
        return outcome
    active: list[_Worker] = []
    with (
        locked(runs_dir),
        collected_signals() as received,
        selectors.DefaultSelector() as selector,
    ):
        try:
            while (waiting and not received) or active:
                while waiting and not received and len(active) < jobs:
                    worker = _Worker(waiting.pop(0), out, runs_dir, data_dir)
                    active.append(worker)
                    selector.register(worker.output, selectors.EVENT_READ, worker)
                for key, _ in selector.select(_POLL_SECONDS):
                    worker, epochs = key.data, key.data.epochs
                    more = worker.read()
                    progress((worker.epochs - epochs) / worker.run.config.epochs)
                    if not more:
                        selector.unregister(worker.output)
                        active.remove(worker)
                        worker.process.wait()
                        _note(worker, out, runs_dir, outcome, report)
                        worker.close()
                if received:
                    for worker in active:
                        worker.stop()
        finally:
            for worker in active:
                worker.close()
    outcome.left += [run.name for run in waiting]
    outcome.signal = received[0] if received else None
    return outcome


def _note(
    worker: _Worker,
    out: Path,
    runs_dir: Path,
    outcome: Outcome,
    report: Callable[[str], None],
) -> None:
    """Adds a worker that has ended to the outcome."""
    name = worker.run.name
    if "finished" in worker.last and name in _recorded(out):
        outcome.finished.append(name)
        # The model is kept. Checkpoints, most of the bytes, are for resuming only.
        shutil.rmtree(RunFolder(runs_dir / name).checkpoints, ignore_errors=True)
        report(f"{name}: {worker.last.get('finished', 0):.2%}")
    elif "failed" not in worker.last and (worker.stopping or "stopped" in worker.last):
        outcome.left.append(name)
    else:
        outcome.failed[name] = worker.failure()
        report(f"{name}: {outcome.failed[name]}")
