"""The folder of one run: its files, whose it is, and what it says when it is finished."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_sparsebnn._files import LOCK, read_json
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training.settings.choices import OWN_NETWORK
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["RunFolder", "run_config", "run_file"]


class RunFolder:
    """Where one run keeps everything.

    Attributes:
        path: the folder.
        settings: `run.json`, see `RunConfig`.
        metrics: `metrics.json`: settings, machine, history and, at the end, results.
        model: `model.keras`, once finished.
        checkpoints: see `CheckpointStore`.
        logs: TensorBoard's event files.
        worker_log: what a run of `sparsebnn experiment` wrote to stderr.
        kept: all of these, the folder of a teacher and the lock. Any other name in the folder
            is free, such as `model.tflite`.
    """

    def __init__(self, path: str | Path) -> None:
        if not str(path):
            raise SparseBNNError("Expected a folder for the run, got an empty name.")
        self.path = Path(path)
        self.settings = self.path / "run.json"
        self.metrics = self.path / "metrics.json"
        self.model = self.path / "model.keras"
        self.checkpoints = self.path / "checkpoints"
        self.logs = self.path / "logs"
        self.worker_log = self.path / "worker.log"
        self._teacher = self.path / "teacher"
        self.kept = (
            *(self.settings, self.metrics, self.model, self.checkpoints, self.logs),
            *(self.worker_log, self._teacher, self.path / LOCK),
        )

    @property
    def teacher(self) -> RunFolder:
        """The folder of the run that trains an "auto" teacher."""
        return RunFolder(self._teacher)

    def results(self, config: RunConfig) -> dict[str, Any] | None:
        """The metrics of the run `config` if it is finished already, else None.

        Raises:
            SparseBNNError: the folder is another run's, or no run's, or damaged.
        """
        if not self.settings.exists():
            for path in (self.metrics, self.model, self.checkpoints):
                if path.exists():
                    raise SparseBNNError(
                        f"Expected a new folder or one with a run.json, found {path.name} "
                        f"without it ({self.path}). Choose another folder."
                    )
            return None
        stored = RunConfig.load(self.settings)
        key = config.first_difference(stored)
        if stored.model == OWN_NETWORK and key in ("model", "model_options"):
            raise SparseBNNError(
                f"Expected the user's own network of the run in {self.path}, got another one. "
                "Give the same one to keras_sparsebnn.training.train(..., model=...), or "
                "choose another folder."
            )
        if key is not None:
            mine, theirs = getattr(config, key), getattr(stored, key)
            raise SparseBNNError(
                f"Expected the settings of the run in {self.path}, got another `{key}`: "
                f"{mine!r:.80} instead of {theirs!r:.80}. Choose another folder, or the same "
                "settings."
            )
        if not self.metrics.exists() or not self.model.exists():
            return None
        metrics = read_json(self.metrics)
        final = metrics.get("final")
        if final is None:
            return None
        expected = ("test_accuracy", "test_size", "steps", "seconds")
        if not isinstance(final, dict) or not all(
            isinstance(final.get(key), int | float) for key in expected
        ):
            raise SparseBNNError(
                f"Expected the results of a finished run under `final` ({self.metrics}). "
                "Remove that file: it is made again from the last checkpoint."
            )
        return metrics

    @contextlib.contextmanager
    def claimed(self, config: RunConfig) -> Iterator[None]:
        """Writes `run.json`; a run that fails before it has saved anything takes it back."""
        if self.settings.exists():
            yield
            return
        config.save(self.settings)
        try:
            yield
        except BaseException:
            if not self._holds_work():
                self.settings.unlink(missing_ok=True)
            raise

    def _holds_work(self) -> bool:
        """Whether there is anything that took training to make."""
        parts = (self.metrics, self.model, self.teacher.settings)
        return any(path.exists() for path in parts) or self._holds_checkpoints()

    def _holds_checkpoints(self) -> bool:
        return self.checkpoints.is_dir() and any(self.checkpoints.glob("step-*"))

    @contextlib.contextmanager
    def one_line_os_errors(self) -> Iterator[None]:
        """What the disk refuses, as a `SparseBNNError`."""
        try:
            yield
        except OSError as error:
            intact = "The checkpoints are intact: put" if self._holds_checkpoints() else "Put"
            raise SparseBNNError(
                f"Expected to read and write in {self.path}, got: "
                f"{error.strerror or error} ({error.filename or self.path}). {intact} that "
                "right, then run the same command."
            ) from error


def run_file(folder: str, name: str) -> dict[str, Any]:
    """The JSON object in `run.json` or `metrics.json` of a run folder.

    Raises:
        SparseBNNError: it is missing or damaged.
    """
    path = Path(folder) / name
    if not path.exists():
        raise SparseBNNError(
            f"Expected a run folder made by sparsebnn train, found no {name} ({folder})."
        )
    return read_json(path)


def run_config(folder: str) -> RunConfig:
    """The settings in `run.json`.

    Raises:
        SparseBNNError: as `run_file`, or it has no valid settings.
    """
    return RunConfig.from_dict(run_file(folder, "run.json"), str(Path(folder) / "run.json"))
