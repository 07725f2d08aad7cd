"""Carries out one order of an executor: `python -m keras_sparsebnn.cli.worker`.

Reads the order, a JSON object, from the first line of its standard input: a run of an
experiment, or candidates of a search to evaluate. Writes JSON objects to its standard output,
one a line: `{"epoch": 1, "epochs": 5}` after each epoch, `{"candidates": 3}` after each
candidate, in the end `{"finished": accuracy}`, `{"stopped": signal}` or
`{"failed": "one line"}`. When its standard input ends, the process that ordered the work is
gone: a run saves a checkpoint and stops.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_sparsebnn._files import locked
from keras_sparsebnn.cli.process import import_keras
from keras_sparsebnn.errors import SparseBNNError, one_line
from keras_sparsebnn.experiments.clock import CpuClock
from keras_sparsebnn.experiments.matrix import Run
from keras_sparsebnn.experiments.provenance import provenance
from keras_sparsebnn.experiments.results import make_record, store
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["main"]


def _say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _stop_when_input_ends() -> None:
    # Not sys.stdin: its lock, held by a daemon thread, would abort the process at its exit.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # the trainer saves a checkpoint and returns


def _run(order: dict[str, Any]) -> None:
    from keras_sparsebnn._keras import keras
    from keras_sparsebnn.training.run.train import train

    run = Run(order["variant"], RunConfig.from_dict(order["config"]))
    folder = Path(order["runs_dir"]) / run.name
    with locked(folder, patience=order["patience"]):
        pass  # a predecessor that was lost may still be saving its last checkpoint
    clock = CpuClock(folder)

    class Progress(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            clock.save()
            _say(epoch=epoch + 1, epochs=run.config.epochs)

    metrics = train(run.config, folder, callbacks=[Progress()])
    clock.save()
    environment = {**metrics["environment"], **provenance()}
    record = make_record(run, metrics, environment, clock.seconds())
    store(Path(order["out"]), record)
    _say(finished=record["final"]["test_accuracy"])


def _evaluate(order: dict[str, Any]) -> None:
    from keras_sparsebnn.search.orders import carry_out_evaluation

    done = carry_out_evaluation(order, lambda count: _say(candidates=count))
    _say(finished=done)


TASKS = {"run": _run, "evaluate": _evaluate}
"""What a worker can be told to do, by the order's "task"."""


def main() -> int:
    """Status 0 if the work is finished, 1 if it failed, 128 + signal if it was stopped."""
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_stop_when_input_ends, daemon=True).start()
    import_keras()
    from keras_sparsebnn.training import TrainingInterruptedError

    try:
        TASKS[order["task"]](order)
    except TrainingInterruptedError as interruption:
        _say(stopped=interruption.signal)
        return 128 + interruption.signal
    except (SparseBNNError, OSError, ImportError, ValueError, RuntimeError) as error:
        text = one_line(error)[:500]
        known = isinstance(error, SparseBNNError)
        _say(failed=text if known else f"{type(error).__name__}: {text}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
