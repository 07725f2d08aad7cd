"""How far a run has come, and the checkpoints it goes on from."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training.keras.fit_progress import steps_done
from keras_sparsebnn.training.run.checkpoint import CheckpointStore
from keras_sparsebnn.training.run.job import Job

__all__ = ["Progress", "RunCheckpoints"]


@dataclasses.dataclass
class Progress:
    """What a checkpoint keeps besides variables.

    Attributes:
        epoch: finished epochs.
        step: finished steps of the next one.
        seconds: spent on those steps.
        history: a record of each finished epoch, as in `metrics.json`.
        teacher: SHA-256 of the teacher's weights.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    teacher: str | None = None

    def finish_epoch(self, record: dict[str, Any]) -> None:
        """Adds an epoch's record and goes to the start of the next one."""
        self.history = [*self.history, record]
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0


class RunCheckpoints:
    """Saves and restores a model, its optimizer and metrics, and the progress.

    Args:
        job: whose folder they lie in.
        model: compiled, with all its variables made.
        steps: batches an epoch.
    """

    def __init__(self, job: Job, model: keras.Model, steps: int) -> None:
        self._job = job
        self._model = model
        self._steps = steps
        self._variables = tf.train.Checkpoint(model=model, metrics=model.metrics)
        self.store = CheckpointStore(job.folder.checkpoints)

    def save(self, progress: Progress) -> None:
        """Saves both; every worker has to call it.

        Raises:
            SparseBNNError: no room, read-only folder, ...
        """
        if self._job.cluster.is_chief:
            step = progress.epoch * self._steps + progress.step
            self.store.save(self._variables, step, dataclasses.asdict(progress))
            return
        with self._job.cluster.folder_to_write_in(self._job.folder.path) as folder:
            self._variables.write(str(folder / "variables"))

    def restore(self) -> Progress:
        """Restores the newest checkpoint; without any, returns the start of the run.

        Raises:
            SparseBNNError: all are damaged, or they are another run's.
        """
        state = self.store.restore(self._variables)
        if state is None:
            return Progress()
        names = {field.name for field in dataclasses.fields(Progress)}
        progress = Progress(**{k: v for k, v in state.items() if k in names})
        if not self._is_possible(progress):
            raise SparseBNNError(
                f"Expected a checkpoint of this run, got one of epoch {progress.epoch!r:.20}, "
                f"step {progress.step!r:.20} ({self.store.folder}). Remove that folder to "
                "start again."
            )
        return progress

    def _is_possible(self, progress: Progress) -> bool:
        """Whether values from a file are of the right types and fit each other."""
        epoch, step, history = progress.epoch, progress.step, progress.history
        return (
            isinstance(epoch, int)
            and isinstance(step, int)
            and isinstance(progress.seconds, float)
            and isinstance(history, list)
            and 0 <= epoch <= self._job.config.epochs
            and 0 <= step < self._steps
            and epoch * self._steps + step == steps_done(self._model)
            and len(history) == epoch
            and all(map(_is_record, history))
        )


def _is_record(record: object) -> bool:
    return (
        isinstance(record, dict)
        and isinstance(record.get("selection"), dict)
        and isinstance(record.get("seconds"), float)
    )
