"""What changes over a run: its parts, the stages of its kernels, annealed options."""

from __future__ import annotations

from typing import Any

from keras_sparsebnn._keras import keras
from keras_sparsebnn.estimators.ir_net import T_MAX, T_MIN
from keras_sparsebnn.quantizers.methods import (
    choose_after,
    logits_of,
    settle_after,
    starts_as,
)
from keras_sparsebnn.training.keras.annealing import (
    freeze_after,
    geometric,
    incremental,
    linear,
)
from keras_sparsebnn.training.keras.selection_schedule import SelectionSchedule
from keras_sparsebnn.training.keras.stages import StageSchedule
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["part_starts", "selection_schedules", "stage_starts"]


def part_starts(config: RunConfig, steps: int) -> tuple[int, ...]:
    """The optimizer steps at which the parts of training begin."""
    first = config.first_step_epochs
    return (0, first * steps) if first else (0,)


def selection_schedules(
    config: RunConfig, total_steps: int, *, staged: bool = True
) -> list[keras.callbacks.Callback]:
    """The callbacks that change the quantizers of a run's model over its steps.

    Args:
        config: of the run.
        total_steps: of all its epochs.
        staged: whether the model has stages. A network of the user's own may have none: then
            there is a schedule of them only if the settings ask for one, and it says so.
    """
    options = config.options
    asked = config.first_step or options.get("choose_after") is not None
    stages = stage_starts(config) if staged or asked else {}
    structured = config.method == "learned" and logits_of(options) == "structured"
    since = next((start for start, stage in stages.items() if stage == "codewords"), 0.0)
    # Even the shortest run has an update that moves codewords.
    earliest = min(1.0, (round(since * total_steps) + 1) / total_steps)
    halfway = max(since + 0.5 * (1 - since), earliest)
    until = options.get("freeze_after") or (halfway if structured else 1.0)
    schedules: dict[str, Any] = {"freeze_after": until} if structured else {}
    for name in ("temperature", "noise_scale"):
        if f"{name}_end" in options:
            schedules[name] = linear(options[name], options[f"{name}_end"], until=until)
    if options.get("gradient") == "ede":
        schedules["ede_t"] = geometric(T_MIN, T_MAX)
    if options.get("freeze_after") and not structured:
        interval = options.get("refresh_interval")
        interval = 1 if interval is None else interval
        schedules["refresh_interval"] = freeze_after(until, interval)
    settled = settle_after(config.method, options)
    if settled is not None and stages:
        schedules["tolerance"] = incremental(since, since + settled * (1 - since))
    found: list[keras.callbacks.Callback] = []
    if schedules:
        found.append(SelectionSchedule(**schedules, total_steps=total_steps))
    if stages:
        found.append(StageSchedule(stages, total_steps=total_steps))
    return found


def stage_starts(config: RunConfig) -> dict[float, str]:
    """From the fraction of training to the stage that kernels enter there.

    Example:
        >>> stage_starts(RunConfig(method="frequent", first_step=0.2))
        {0.2: 'sign', 0.3: 'codewords'}
    """
    if config.float_network:
        return {}
    first = config.first_step_epochs / config.epochs
    chosen = choose_after(config.method, config.options)
    if chosen is None:
        return {first: "codewords"} if first else {}
    if not first:
        return {chosen: "codewords"}
    if chosen <= first:  # the first step's float kernels tell enough
        return {first: "codewords"}
    return {first: starts_as(config.method, config.options), chosen: "codewords"}
