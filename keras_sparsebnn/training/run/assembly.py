"""From a run's configuration to a compiled model and its schedules."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.data import Dataset
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.estimators.ir_net import T_MAX, T_MIN
from keras_sparsebnn.models import MODELS
from keras_sparsebnn.quantizers import METHODS
from keras_sparsebnn.quantizers.methods import SCHEDULED, choose_after, settle_after, starts_as
from keras_sparsebnn.training.keras.callbacks import (
    SelectionSchedule,
    freeze_after,
    geometric,
    incremental,
    linear,
)
from keras_sparsebnn.training.keras.distillation import DistilledModel
from keras_sparsebnn.training.keras.learning_rate import RestartingDecay
from keras_sparsebnn.training.keras.losses import DistillationLoss, SmoothedCrossEntropy
from keras_sparsebnn.training.keras.optimizer import GroupedOptimizer, selection_logits
from keras_sparsebnn.training.keras.stages import StageSchedule
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = [
    "compiled_model",
    "create_state",
    "part_starts",
    "selection_schedules",
    "stage_starts",
    "teacher_config",
]


def compiled_model(config: RunConfig, dataset: Dataset, steps: int) -> Any:
    """The network of a run with its loss and optimizer.

    Args:
        config: of the run.
        dataset: tells shapes.
        steps: batches an epoch.

    Raises:
        SparseBNNError: no such model, or one that does not fit the pictures.
    """
    model = _network(config, dataset)
    if config.teacher is not None:
        model = DistilledModel(model.inputs, model.outputs, name=model.name)
    starts = part_starts(config, steps)
    decays = (config.first_step_weight_decay, config.weight_decay)
    model.compile(
        optimizer=GroupedOptimizer(
            config.optimizer,
            RestartingDecay(
                config.learning_rate,
                config.schedule,
                starts=starts,
                total=config.epochs * steps,
                warmup=round(config.warmup_epochs * steps),
            ),
            momentum=config.momentum,
            weight_decay=decays[-len(starts) :],
            logits=selection_logits(model),
            logit_kind=config.logit_optimizer,
            logit_rate_factor=config.logit_rate_factor,
            starts=starts,
        ),
        loss=_loss(config, dataset.classes),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    return model


def create_state(
    model: keras.Model, dataset: Dataset, strategy: tf.distribute.Strategy
) -> None:
    """Creates the variables that Keras makes only in the first step.

    Call it in the strategy's scope.
    """
    model.optimizer.build(model.trainable_variables)
    shape = (1, *dataset.input_shape)

    def one_step() -> None:
        labels, logits = tf.zeros([1], tf.int64), tf.zeros([1, dataset.classes])
        model.compute_loss(y=labels, y_pred=logits)
        model.compute_metrics(tf.zeros(shape), labels, logits, None)

    tf.function(strategy.run)(one_step)
    model.reset_metrics()


def part_starts(config: RunConfig, steps: int) -> tuple[int, ...]:
    """The optimizer steps at which the parts of training begin."""
    first = config.first_step_epochs
    return (0, first * steps) if first else (0,)


def _network(config: RunConfig, dataset: Dataset) -> Any:
    if config.model not in MODELS:
        raise SparseBNNError(
            f"Expected a model out of {', '.join(sorted(MODELS))}, got {config.model}."
        )
    if config.float_network:
        kind = {"kernel_quantizer": lambda n: None, "activation_quantizer": None}
    else:
        kind = {"kernel_quantizer": _quantizer_factory(config)}
    taken = set(config.model_options) & {"codewords", "kernel_quantizer", "name"}
    try:
        if taken:
            raise TypeError(f"{taken.pop()} comes from other settings")
        return MODELS[config.model](
            dataset.input_shape,
            dataset.classes,
            **{"codewords": config.codewords, **config.model_options, **kind},
        )
    except SparseBNNError:
        raise
    except (TypeError, ValueError) as error:  # Keras: the pictures are too small, ...
        raise SparseBNNError(
            f"Expected model {config.model} to fit pictures of shape {dataset.input_shape} and "
            f"`model_options`: {str(error).splitlines()[0][:200]}"
        ) from error


def _loss(config: RunConfig, classes: int) -> keras.losses.Loss:
    if config.teacher is not None:
        return DistillationLoss(
            classes, config.teacher_weight, config.teacher_temperature, config.label_smoothing
        )
    if config.label_smoothing:
        return SmoothedCrossEntropy(classes, config.label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def teacher_config(config: RunConfig) -> RunConfig:
    """The run that trains the "auto" teacher: the float network of the same family.

    With the student's data, optimizer and schedule, the decay of the student's first step, and
    one step of its own.
    """
    return dataclasses.replace(
        config,
        float_network=True,
        method="one_bit",
        codewords=512,
        options={},
        epochs=config.teacher_epochs or config.epochs,
        warmup_epochs=min(config.warmup_epochs, config.teacher_epochs or config.epochs),
        weight_decay=max(config.first_step_weight_decay, config.weight_decay),
        first_step=0.0,
        first_step_weight_decay=0.0,
        teacher=None,
        teacher_epochs=None,
    )


def _quantizer_factory(config: RunConfig) -> Callable[[int], Any]:
    """Makes one kernel quantizer a layer, each with its own seed."""
    cls = METHODS[config.method]
    options = {k: v for k, v in config.options.items() if k not in SCHEDULED}
    if config.first_step:
        options["starts_as"] = "float"
    elif choose_after(config.method, config.options) is not None:
        options["starts_as"] = starts_as(config.method, config.options)
    layers = itertools.count()

    def factory(codewords: int) -> Any:
        sequence = np.random.SeedSequence((config.seed, next(layers)))
        return cls(codewords, seed=int(sequence.generate_state(1)[0] >> 1), **options)

    return factory


def selection_schedules(config: RunConfig, total_steps: int) -> list[Any]:
    options = config.options
    until = options.get("freeze_after", 1.0)
    schedules: dict[str, Any] = {}
    for name in ("temperature", "noise_scale"):
        if f"{name}_end" in options:
            schedules[name] = linear(options[name], options[f"{name}_end"], until=until)
    if options.get("gradient") == "ede":
        schedules["ede_t"] = geometric(T_MIN, T_MAX)
    if "freeze_after" in options:
        interval = options.get("refresh_interval", 1)
        schedules["refresh_interval"] = freeze_after(until, interval)
    stages = stage_starts(config)
    settled = settle_after(config.method, options)
    for since, stage in stages.items():
        if settled is not None and stage == "codewords":
            schedules["tolerance"] = incremental(since, since + settled * (1 - since))
    found: list[Any] = []
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
