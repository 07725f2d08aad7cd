"""The folder of one run: whose it is, and that only one process trains there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_sparsebnn._files import read_json
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["check", "one_line_os_errors", "run_file"]


def check(out: Path, config: RunConfig) -> dict[str, Any] | None:
    """Makes sure that `out` is new or of this run; its metrics if it is finished already."""
    settings, metrics_path, model_path = (
        out / name for name in ("run.json", "metrics.json", "model.keras")
    )
    if not settings.exists():
        for path in (metrics_path, model_path, out / "checkpoints"):
            if path.exists():
                raise SparseBNNError(
                    f"Expected a new folder or one with a run.json, found {path.name} without "
                    f"it ({out}). Choose another folder."
                )
        return None
    stored = RunConfig.load(settings)
    key = config.first_difference(stored)
    if key is not None:
        mine, theirs = config.to_dict()[key], stored.to_dict()[key]
        raise SparseBNNError(
            f"Expected the settings of the run in {out}, got another `{key}`: {mine!r:.80} "
            f"instead of {theirs!r:.80}. Choose another folder, or the same settings."
        )
    if not metrics_path.exists() or not model_path.exists():
        return None
    metrics = read_json(metrics_path)
    final = metrics.get("final")
    if final is None:
        return None
    expected = ("test_accuracy", "test_size", "steps", "seconds")
    if not isinstance(final, dict) or not all(
        isinstance(final.get(key), int | float) for key in expected
    ):
        raise SparseBNNError(
            f"Expected the results of a finished run under `final` ({metrics_path}). Remove "
            "that file: it is made again from the last checkpoint."
        )
    return metrics


@contextlib.contextmanager
def one_line_os_errors(out: Path) -> Iterator[None]:
    """What the disk refuses, as a `SparseBNNError`."""
    try:
        yield
    except OSError as error:
        raise SparseBNNError(
            f"Expected to read and write in {out}, got: {error.strerror or error} "
            f"({error.filename or out}). Checkpoints are intact: put that right, then run the "
            "same command."
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
