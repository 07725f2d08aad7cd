"""How far a running `fit` has come, as callbacks see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from keras_sparsebnn.errors import SparseBNNError

if TYPE_CHECKING:
    from keras_sparsebnn.training.keras.selection_schedule import SelectionSchedule
    from keras_sparsebnn.training.keras.stages import StageSchedule

__all__ = ["Logs", "total_steps_of"]

Logs: TypeAlias = Mapping[str, float] | None


def total_steps_of(schedule: SelectionSchedule | StageSchedule) -> int:
    """A callback's `total_steps`; where None, epochs x steps of the running `fit`."""
    if schedule.total_steps is not None:
        return int(schedule.total_steps)
    params = getattr(schedule, "params", None) or {}  # Keras sets it when training starts
    epochs, steps = params.get("epochs"), params.get("steps")
    if not epochs or not steps:
        raise SparseBNNError(
            "Expected `total_steps`, because the dataset's size is unknown. "
            f"Give {type(schedule).__name__}(..., total_steps=epochs * steps_per_epoch)."
        )
    return int(epochs * steps)
