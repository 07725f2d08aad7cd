"""Anneals what quantizers learn a selection with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import SubsetKernel
from keras_sparsebnn.training.keras.annealing import Progress, fraction_of
from keras_sparsebnn.training.keras.fit_progress import (
    Logs,
    check_total_steps,
    steps_done,
    total_steps_of,
)
from keras_sparsebnn.transforms.walk import all_layers

__all__ = ["SelectionSchedule"]

Annealed: TypeAlias = float | Progress | keras.optimizers.schedules.LearningRateSchedule
"""What a `SelectionSchedule` sets an option to."""


def _subset_quantizers(model: keras.Model) -> Iterator[SubsetKernel]:
    """Those that are built, wherever they are in the model."""
    for _, layer in all_layers(model):
        if isinstance(layer, SubsetKernel) and layer.built:
            yield layer


class SelectionSchedule(keras.callbacks.Callback):  # type: ignore[misc]
    r"""Anneals options of every quantizer of the model that has them.

    Temperature, noise, refresh interval, travel and `freeze_after` are of `SparseKernel`;
    `ede_t` is of every quantizer with `gradient="ede"`.

    Each is a number, a function of progress in [0, 1] (`linear`, `cosine`, `freeze_after`) or
    a Keras `LearningRateSchedule`, a function of the step. What is set before step `t` depends
    on `t`, the optimizer's counter, alone, so a resumed training continues as if it had never
    stopped. A model that is not built yet has them from its second step on.

    Args:
        temperature: tau, > 0; untouched if None.
        noise_scale: factor of the Gumbel noise, >= 0; untouched if None.
        refresh_interval: updates between two matchings, rounded; 0 freezes the selection, and
            training then uses the one that evaluation uses. Untouched if None.
        travel: how far an entry of structured logits moves in all, >= 0; untouched if None.
        tolerance: `Incremental`'s, see `incremental`; untouched if None.
        freeze_after: the fraction of training, in (0, 1], after which structured logits no
            longer move: sets `freeze_step`. With a new optimizer, a selection that was trained
            before begins to move anew. Untouched if None.
        ede_t: t of the error decay estimator, > 0; untouched if None. IR-Net:
            `geometric(0.1, 10)`.
        total_steps: where progress is 1; epochs x steps of the running `fit` if None.

    Raises:
        SparseBNNError: a value out of range, or unknown `total_steps`.

    Example:
        >>> from keras_sparsebnn.training import freeze_after, linear
        >>> schedule = SelectionSchedule(
        ...     noise_scale=linear(0.3, 0.0, until=0.4), refresh_interval=freeze_after(0.4))
    """

    def __init__(
        self,
        temperature: Annealed | None = None,
        noise_scale: Annealed | None = None,
        refresh_interval: Annealed | None = None,
        *,
        travel: Annealed | None = None,
        tolerance: Annealed | None = None,
        ede_t: Annealed | None = None,
        freeze_after: float | None = None,
        total_steps: int | None = None,
    ) -> None:
        super().__init__()
        schedules = {
            "temperature": temperature,
            "noise_scale": noise_scale,
            "refresh_interval": refresh_interval,
            "travel": travel,
            "tolerance": tolerance,
            "ede_t": ede_t,
        }
        self.schedules = {k: v for k, v in schedules.items() if v is not None}
        if freeze_after is not None:
            fraction = fraction_of("freeze_after", freeze_after)
            self.schedules["freeze_step"] = lambda _: round(fraction * total_steps_of(self))
        self.total_steps = total_steps
        self._assigned: dict[str, float] = {}
        check_total_steps(total_steps)
        for name, schedule in self.schedules.items():
            if not callable(schedule):
                _in_range(name, schedule, "when made")

    def value(self, name: str, step: int) -> float:
        """What the option is before optimizer step `step`."""
        schedule = self.schedules[name]
        if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            value = float(schedule(step))
        elif callable(schedule):
            value = float(schedule(min(1.0, step / total_steps_of(self))))
        else:
            value = float(schedule)
        return _in_range(name, value, f"at step {step}")

    def on_train_begin(self, logs: Logs = None) -> None:
        self._assigned = {}

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        step = steps_done(self.model)
        values = {name: self.value(name, step) for name in self.schedules}
        changed = {k: v for k, v in values.items() if self._assigned.get(k) != v}
        if not changed:
            return
        for quantizer in _subset_quantizers(self.model):
            for name, value in changed.items():
                variable = getattr(quantizer, name, None)
                if isinstance(variable, tf.Variable):
                    if name == "freeze_step":
                        value += _earlier_updates(quantizer, step)
                    variable.assign(tf.cast(value, variable.dtype))
            noisy = hasattr(quantizer, "training_selection")
            if changed.get("refresh_interval") == 0 and noisy:
                # Without this, the last noisy selection would stay for the rest of training.
                quantizer.training_selection.assign(quantizer.selection)
        if self.model.built:  # or the first step, which is next, builds it
            self._assigned = values


def _earlier_updates(quantizer: SubsetKernel, step: int) -> int:
    """Updates of the quantizer, which counts its own, before those that `step` counts.

    Under a new optimizer, structured logits begin to travel anew.
    """
    earlier = int(keras.backend.get_value(quantizer.step)) - step
    if step == 0:
        quantizer.start_step.assign(earlier)
        quantizer.square.assign(0.0)
    return earlier


def _in_range(name: str, value: float, when: str) -> float:
    number = round(value) if name == "refresh_interval" and math.isfinite(value) else value
    above_zero = name in ("temperature", "ede_t")
    if not math.isfinite(number) or number < 0 or (above_zero and number == 0):
        bound = "> 0" if above_zero else ">= 0"
        raise SparseBNNError(f"Expected `{name}` to be {bound}, got {value} ({when}).")
    return float(number)
