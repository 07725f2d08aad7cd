"""Keras callbacks for learned selection: schedules, and logs of the codewords in use."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.analysis.usage import binary_layers, codeword_counts, usage_entropy
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import sparse_quantizer
from keras_sparsebnn.quantizers import SubsetKernel
from keras_sparsebnn.quantizers.incremental import ALL_KERNELS
from keras_sparsebnn.training.keras.event_log import write_epoch
from keras_sparsebnn.transforms.walk import all_layers

if TYPE_CHECKING:
    from keras_sparsebnn.training.keras.stages import StageSchedule

__all__ = [
    "CodewordUsage",
    "SelectionSchedule",
    "cosine",
    "freeze_after",
    "geometric",
    "incremental",
    "linear",
    "selections",
]

Progress: TypeAlias = Callable[[float], float]
"""From the fraction of training done, in [0, 1], to a value."""

Annealed: TypeAlias = float | Progress | keras.optimizers.schedules.LearningRateSchedule
"""What a `SelectionSchedule` sets an option to."""

Logs: TypeAlias = Mapping[str, float] | None


def _fraction(name: str, value: float) -> float:
    if not 0 < value <= 1:
        raise SparseBNNError(f"Expected `{name}` in (0, 1], got {value}.")
    return value


def linear(start: float, end: float, *, until: float = 1.0) -> Progress:
    """From `start` to `end` in a straight line, there after the fraction `until` of training.

    Example:
        >>> [linear(1.0, 0.0, until=0.5)(p) for p in (0.0, 0.25, 0.5, 1.0)]
        [1.0, 0.5, 0.0, 0.0]
    """
    _fraction("until", until)
    return lambda progress: start + (end - start) * min(1.0, progress / until)


def cosine(start: float, end: float, *, until: float = 1.0) -> Progress:
    """From `start` to `end` along half a cosine, there after the fraction `until`.

    Example:
        >>> [round(cosine(1.0, 0.0)(p), 3) for p in (0.0, 0.25, 0.5, 1.0)]
        [1.0, 0.854, 0.5, 0.0]
    """
    _fraction("until", until)
    return lambda progress: (
        end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress / until)))
    )


def geometric(start: float, end: float, *, until: float = 1.0) -> Progress:
    """From `start` to `end` by equal factors, there after the fraction `until`.

    Example:
        >>> [round(geometric(0.1, 10.0)(p), 3) for p in (0.0, 0.25, 0.5, 1.0)]
        [0.1, 0.316, 1.0, 10.0]
    """
    _fraction("until", until)
    for name, value in (("start", start), ("end", end)):
        if not value > 0:
            raise SparseBNNError(f"Expected `{name}` to be > 0, got {value}.")
    return lambda progress: start * (end / start) ** min(1.0, progress / until)


def incremental(since: float, until: float) -> Progress:
    """The `tolerance` of `quantizers.Incremental`: 0, then rising to 1, then all kernels.

    Args:
        since: the fraction of training up to which no kernel has to be a codeword, >= 0.
        until: the fraction from which on all have to, above `since`, at most 1.

    Example:
        >>> [incremental(0.25, 0.75)(p) for p in (0.25, 0.5, 0.75)]
        [0.0, 0.5, 3.0]
    """
    _fraction("until", until)
    if not 0 <= since < until:
        raise SparseBNNError(f"Expected `since` in [0, {until}), got {since}.")

    def tolerance(progress: float) -> float:
        if progress >= until:
            return ALL_KERNELS
        return max(0.0, (progress - since) / (until - since))

    return tolerance


def freeze_after(fraction: float, interval: int = 1) -> Progress:
    """A `refresh_interval`: `interval`, then 0 (frozen) after that fraction of training.

    Example:
        >>> [freeze_after(0.4, interval=3)(p) for p in (0.0, 0.39, 0.4, 1.0)]
        [3.0, 3.0, 0.0, 0.0]
    """
    _fraction("fraction", fraction)
    return lambda progress: float(interval) if progress < fraction else 0.0


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


def _subset_quantizers(model: keras.Model) -> Iterator[SubsetKernel]:
    """Those that are built, wherever they are in the model."""
    for _, layer in all_layers(model):
        if isinstance(layer, SubsetKernel) and layer.built:
            yield layer


def selections(model: keras.Model) -> dict[str, list[int]]:
    """The codeword ids that evaluation uses, sorted, for each layer with a subset.

    Layers in an earlier stage are not listed.

    Example:
        >>> selections(keras.Sequential([keras.layers.Dense(2, input_shape=(3,))]))
        {}
    """
    found = {}
    for layer in binary_layers(model):
        quantizer = sparse_quantizer(layer)
        if quantizer is None or quantizer.covers_codebook:
            continue
        if quantizer.is_restricted:
            found[layer.name] = sorted(int(i) for i in quantizer.selection.numpy())
    return found


class SelectionSchedule(keras.callbacks.Callback):  # type: ignore[misc]
    r"""Anneals options of every quantizer of the model that has them.

    Temperature, noise, refresh interval, travel and `freeze_after` are of `SparseKernel`;
    `ede_t` is of every quantizer with `gradient="ede"`.

    Each is a number, a function of progress in [0, 1] (`linear`, `cosine`, `freeze_after`) or
    a Keras `LearningRateSchedule`, a function of the step. What is set before step `t` depends
    on `t`, the optimizer's counter, alone, so a resumed training continues as if it had never
    stopped.

    Args:
        temperature: tau, > 0; untouched if None.
        noise_scale: factor of the Gumbel noise, >= 0; untouched if None.
        refresh_interval: updates between two matchings, rounded; 0 freezes the selection, and
            training then uses the one that evaluation uses. Untouched if None.
        travel: how far an entry of structured logits moves in all, >= 0; untouched if None.
        tolerance: `Incremental`'s, see `incremental`; untouched if None.
        freeze_after: the fraction of training, in (0, 1], after which structured logits no
            longer move: sets `freeze_step`. Untouched if None.
        ede_t: t of the error decay estimator, > 0; untouched if None. IR-Net:
            `geometric(0.1, 10)`.
        total_steps: where progress is 1; epochs x steps of the running `fit` if None.

    Raises:
        SparseBNNError: a value out of range, or unknown `total_steps`.

    Example:
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
            fraction = _fraction("freeze_after", freeze_after)
            self.schedules["freeze_step"] = lambda _: round(fraction * total_steps_of(self))
        self.total_steps = total_steps
        self._assigned: dict[str, float] = {}
        if total_steps is not None and total_steps < 1:
            raise SparseBNNError(f"Expected `total_steps` to be at least 1, got {total_steps}.")
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
        step = int(keras.backend.get_value(self.model.optimizer.iterations))
        values = {name: self.value(name, step) for name in self.schedules}
        changed = {k: v for k, v in values.items() if self._assigned.get(k) != v}
        if not changed:
            return
        for quantizer in _subset_quantizers(self.model):
            for name, value in changed.items():
                variable = getattr(quantizer, name, None)
                if isinstance(variable, tf.Variable):
                    variable.assign(tf.cast(value, variable.dtype))
            noisy = hasattr(quantizer, "training_selection")
            if changed.get("refresh_interval") == 0 and noisy:
                # Without this, the last noisy selection would stay for the rest of training.
                quantizer.training_selection.assign(quantizer.selection)
        self._assigned = values


def _in_range(name: str, value: float, when: str) -> float:
    number = round(value) if name == "refresh_interval" and math.isfinite(value) else value
    above_zero = name in ("temperature", "ede_t")
    if not math.isfinite(number) or number < 0 or (above_zero and number == 0):
        bound = "> 0" if above_zero else ">= 0"
        raise SparseBNNError(f"Expected `{name}` to be {bound}, got {value} ({when}).")
    return float(number)


class CodewordUsage(keras.callbacks.Callback):  # type: ignore[misc]
    r"""Shows in TensorBoard which codewords each binary layer uses, after every epoch.

    Per layer: `codewords/<layer>`, the histogram over codeword ids of the kernels;
    `usage_entropy/<layer>` in bits per kernel; and, where a subset is selected,
    `changed_slots/<layer>`, the codewords that were not selected an epoch earlier.

    Args:
        log_dir: where event files go; one file an epoch, replaced if it is trained again.
        previous: the selections before the first epoch, to go on after an interruption; those
            at the start of training if None.

    Example:
        >>> callback = CodewordUsage("logs")
    """

    def __init__(
        self, log_dir: str | Path, *, previous: dict[str, list[int]] | None = None
    ) -> None:
        super().__init__()
        self.log_dir = Path(log_dir)
        self.previous = previous

    def on_train_begin(self, logs: Logs = None) -> None:
        if self.previous is None:
            self.previous = selections(self.model)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        counts = {layer.name: codeword_counts(layer) for layer in binary_layers(self.model)}
        scalars = {f"usage_entropy/{k}": usage_entropy(v) for k, v in counts.items()}
        now = selections(self.model)
        for layer, ids in now.items():
            before = (self.previous or {}).get(layer, ids)
            scalars[f"changed_slots/{layer}"] = float(len(np.setdiff1d(ids, before)))
        self.previous = now
        write_epoch(
            self.log_dir,
            epoch,
            name="codewords",
            scalars=scalars,
            counts={f"codewords/{k}": v for k, v in counts.items()},
            wall_time=time.time(),
        )
