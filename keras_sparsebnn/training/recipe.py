"""From a run's configuration to a compiled model and its schedules."""

from __future__ import annotations

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
from keras_sparsebnn.training.callbacks import (
    SelectionSchedule,
    freeze_after,
    geometric,
    incremental,
    linear,
)
from keras_sparsebnn.training.config import RunConfig
from keras_sparsebnn.training.method_options import SCHEDULED, choose_after, settle_after
from keras_sparsebnn.training.stages import StageSchedule

__all__ = ["compiled_model", "selection_schedules"]


def compiled_model(config: RunConfig, dataset: Dataset, steps: int) -> Any:
    if config.model not in MODELS:
        raise SparseBNNError(
            f"Expected a model out of {', '.join(sorted(MODELS))}, got {config.model}."
        )
    classes = dataset.classes
    try:
        model = MODELS[config.model](
            dataset.input_shape,
            classes,
            codewords=config.codewords,
            kernel_quantizer=_quantizer_factory(config),
        )
    except SparseBNNError:
        raise
    except ValueError as error:  # Keras: the pictures are too small, ...
        raise SparseBNNError(
            f"Expected model {config.model} to fit pictures of shape {dataset.input_shape}: "
            f"{str(error).splitlines()[0][:200]}"
        ) from error

    def smoothed_loss(labels: Any, logits: Any) -> Any:
        labels = tf.one_hot(tf.cast(tf.reshape(labels, [-1]), tf.int32), classes)
        return keras.losses.categorical_crossentropy(
            labels, logits, from_logits=True, label_smoothing=config.label_smoothing
        )

    model.compile(
        optimizer=keras.optimizers.Adam(_learning_rate(config, steps)),
        loss=smoothed_loss
        if config.label_smoothing
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    return model


def _learning_rate(config: RunConfig, steps: int) -> Any:
    """Linear warm-up, then half a cosine to 0, or constant (a cosine to the same value)."""
    total = config.epochs * steps
    warmup = round(config.warmup_epochs * steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=max(1, total - warmup),
        alpha=1.0 if config.schedule == "constant" else 0.0,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def _quantizer_factory(config: RunConfig) -> Callable[[int], Any]:
    """Makes one kernel quantizer a layer, each with its own seed."""
    cls = METHODS[config.method]
    options = {k: v for k, v in config.options.items() if k not in SCHEDULED}
    if choose_after(config.method, config.options) is not None:
        options.setdefault("starts_as", "sign")
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
    found: list[Any] = []
    fraction = choose_after(config.method, options)
    settled = settle_after(config.method, options)
    if fraction is not None and settled is not None:
        schedules["tolerance"] = incremental(fraction, fraction + settled * (1 - fraction))
    if schedules:
        found.append(SelectionSchedule(**schedules, total_steps=total_steps))
    if fraction is not None:
        found.append(StageSchedule({fraction: "codewords"}, total_steps=total_steps))
    return found
