"""Training: runs that resume, checkpoints, schedules for the selection, logs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_sparsebnn.training.callbacks import (
        CodewordUsage,
        SelectionSchedule,
        cosine,
        freeze_after,
        geometric,
        incremental,
        linear,
    )
    from keras_sparsebnn.training.checkpoint import CheckpointStore
    from keras_sparsebnn.training.config import RunConfig
    from keras_sparsebnn.training.interruption import TrainingInterruptedError
    from keras_sparsebnn.training.recipes import RECIPES, Recipe, configured
    from keras_sparsebnn.training.run import train
    from keras_sparsebnn.training.stages import StageSchedule

_HOME = {
    "RECIPES": "recipes",
    "Recipe": "recipes",
    "configured": "recipes",
    "CheckpointStore": "checkpoint",
    "CodewordUsage": "callbacks",
    "RunConfig": "config",
    "SelectionSchedule": "callbacks",
    "StageSchedule": "stages",
    "TrainingInterruptedError": "interruption",
    "cosine": "callbacks",
    "freeze_after": "callbacks",
    "geometric": "callbacks",
    "incremental": "callbacks",
    "linear": "callbacks",
    "train": "run",
}

__all__ = [
    "RECIPES",
    "CheckpointStore",
    "CodewordUsage",
    "Recipe",
    "RunConfig",
    "SelectionSchedule",
    "StageSchedule",
    "TrainingInterruptedError",
    "configured",
    "cosine",
    "freeze_after",
    "geometric",
    "incremental",
    "linear",
    "train",
]


def __getattr__(name: str) -> Any:
    # Lazy: reading a run's configuration takes no TensorFlow.
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
