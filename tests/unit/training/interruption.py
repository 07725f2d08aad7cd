"""A run that is interrupted, and what two runs are compared by."""

from __future__ import annotations

import signal
from typing import Any

from keras_sparsebnn._keras import keras


class StopAt(keras.callbacks.Callback):
    """Asks a run to stop after each of some steps, as SIGTERM does."""

    def __init__(self, *steps: int) -> None:
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) in self.steps:
            signal.raise_signal(signal.SIGTERM)


def history(metrics: dict[str, Any], *left_out: str) -> list[dict[str, Any]]:
    """Each epoch's record without its time, which differs, and without `left_out`."""
    without = ("seconds", *left_out)
    return [{k: v for k, v in r.items() if k not in without} for r in metrics["history"]]
