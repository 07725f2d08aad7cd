"""Runs a matrix with an executor; a finished run is never run again.

A run is finished if it has a record, which is written completely or not at all. An unfinished
run continues from the checkpoints of `train`. So the runner has no state of its own that a kill
could damage.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from keras_sparsebnn._files import locked
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments.executor import (
    Executor,
    Message,
    Order,
    RunOrder,
    carry_out,
    is_last,
)
from keras_sparsebnn.experiments.local_executor import LocalExecutor
from keras_sparsebnn.experiments.matrix import Matrix, Run
from keras_sparsebnn.experiments.results import Result, read_results, result_path
from keras_sparsebnn.training.run.folder import RunFolder
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["Outcome", "run_matrix", "states"]


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


def run_matrix(
    matrix: Matrix,
    out: Path,
    *,
    runs_dir: Path,
    data_dir: str | None = None,
    executor: Executor | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: Callable[[float], None] = lambda runs: None,
) -> Outcome:
    """Executes every run that has no result yet.

    Args:
        matrix: what to run.
        out: gets a record for each finished run, a line in `<dataset>.jsonl`.
        runs_dir: gets a folder for each run: checkpoints while it runs, then the model.
        data_dir: the folder of prepared datasets; not part of a result.
        executor: where they are executed: processes of this machine, one at a time, if None. It
            is closed at the end.
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
    executor = executor or LocalExecutor()
    orders = {run.name: RunOrder(run, out, runs_dir, data_dir) for run in waiting}
    epochs = dict.fromkeys(orders, 0)

    def hear(order: Order, message: Message) -> None:
        name = order.name
        if is_last(message):
            _note(orders[name], message, outcome, report)
        elif "epoch" in message:
            # A run that was lost may repeat its last epoch.
            done = max(0, message["epoch"] - epochs[name])
            progress(done / orders[name].run.config.epochs)
            epochs[name] += done
        elif "note" in message:
            report(f"{name}: {message['note']}")

    with locked(runs_dir), contextlib.closing(executor):
        left, outcome.signal = carry_out(list(orders.values()), executor, hear)
    outcome.left += [order.name for order in left]
    return outcome


def _note(
    order: RunOrder, message: Message, outcome: Outcome, report: Callable[[str], None]
) -> None:
    """Adds a run that has ended to the outcome."""
    name = order.run.name
    if "stopped" in message:
        outcome.left.append(name)
    elif "finished" in message and name in _recorded(order.out):
        outcome.finished.append(name)
        # The model is kept. Checkpoints, most of the bytes, are for resuming only.
        shutil.rmtree(RunFolder(order.runs_dir / name).checkpoints, ignore_errors=True)
        report(f"{name}: {message['finished']:.2%}")
    else:
        lost = f"Expected a record of the finished run in {order.out}, found none."
        outcome.failed[name] = str(message.get("failed", lost))
        report(f"{name}: {outcome.failed[name]}")
