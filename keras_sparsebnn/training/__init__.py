"""Training: runs that resume, checkpoints, schedules for the selection, logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_sparsebnn._lazy import named_when_asked

if TYPE_CHECKING:
    from keras_sparsebnn.training.keras.annealing import (
        cosine,
        freeze_after,
        geometric,
        incremental,
        linear,
    )
    from keras_sparsebnn.training.keras.codeword_usage import CodewordUsage
    from keras_sparsebnn.training.keras.distillation import DistilledModel
    from keras_sparsebnn.training.keras.learning_rate import RestartingDecay
    from keras_sparsebnn.training.keras.losses import DistillationLoss, SmoothedCrossEntropy
    from keras_sparsebnn.training.keras.optimizer import GroupedOptimizer, selection_logits
    from keras_sparsebnn.training.keras.random_groups import RandomGroups
    from keras_sparsebnn.training.keras.selection_schedule import SelectionSchedule
    from keras_sparsebnn.training.keras.stages import StageSchedule
    from keras_sparsebnn.training.run.checkpoint import CheckpointStore
    from keras_sparsebnn.training.run.interruption import TrainingInterruptedError
    from keras_sparsebnn.training.run.train import train
    from keras_sparsebnn.training.settings.config import RunConfig
    from keras_sparsebnn.training.settings.recipes import RECIPES, Recipe, configured

_HOME = {
    "RECIPES": "settings.recipes",
    "Recipe": "settings.recipes",
    "configured": "settings.recipes",
    "CheckpointStore": "run.checkpoint",
    "CodewordUsage": "keras.codeword_usage",
    "DistillationLoss": "keras.losses",
    "DistilledModel": "keras.distillation",
    "GroupedOptimizer": "keras.optimizer",
    "RestartingDecay": "keras.learning_rate",
    "RandomGroups": "keras.random_groups",
    "RunConfig": "settings.config",
    "SelectionSchedule": "keras.selection_schedule",
    "SmoothedCrossEntropy": "keras.losses",
    "StageSchedule": "keras.stages",
    "TrainingInterruptedError": "run.interruption",
    "cosine": "keras.annealing",
    "freeze_after": "keras.annealing",
    "geometric": "keras.annealing",
    "incremental": "keras.annealing",
    "linear": "keras.annealing",
    "selection_logits": "keras.optimizer",
    "train": "run.train",
}

__all__ = [
    "RECIPES",
    "CheckpointStore",
    "CodewordUsage",
    "DistillationLoss",
    "DistilledModel",
    "GroupedOptimizer",
    "RandomGroups",
    "Recipe",
    "RestartingDecay",
    "RunConfig",
    "SelectionSchedule",
    "SmoothedCrossEntropy",
    "StageSchedule",
    "TrainingInterruptedError",
    "configured",
    "cosine",
    "freeze_after",
    "geometric",
    "incremental",
    "linear",
    "selection_logits",
    "train",
]

# Lazy: reading a run's configuration takes no TensorFlow.
__getattr__ = named_when_asked(__name__, _HOME)
