"""The network of a run: a named one, or one that the user brings."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from keras_sparsebnn._keras import keras
from keras_sparsebnn.data import Dataset
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.models import MODELS
from keras_sparsebnn.quantizers import METHODS, SubsetKernel
from keras_sparsebnn.quantizers.methods import SCHEDULED, choose_after, starts_as
from keras_sparsebnn.training.keras.fit_progress import steps_done
from keras_sparsebnn.training.settings.choices import OWN_NETWORK
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["Network", "is_compiled", "named_network", "own_network", "recorded"]

Network: TypeAlias = keras.Model | Callable[[tuple[int, int, int], int], keras.Model]
"""A model, or a builder of one from the shape of an image and the number of classes."""


def named_network(config: RunConfig, dataset: Dataset) -> keras.Model:
    """The network `config.model`, with the run's quantizers.

    Raises:
        SparseBNNError: no such network, or one that does not fit the images.
    """
    if config.model == OWN_NETWORK:
        raise SparseBNNError(
            "Expected the name of a network, got a run of the user's own network, which only "
            "Python code can build: keras_sparsebnn.training.train(config, out, model=...)."
        )
    if config.model not in MODELS:
        raise SparseBNNError(
            f"Expected a model out of {', '.join(sorted(MODELS))}, got {config.model}."
        )
    kind: dict[str, Any]
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
    except (TypeError, ValueError) as error:  # Keras: the images are too small, ...
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is not None and unknown[1] in config.model_options:
            raise SparseBNNError(
                f"Expected `model_options` that network {config.model} has, got "
                f"{unknown[1]}={config.model_options[unknown[1]]!r:.60}. docs/networks.md "
                "says which it has."
            ) from error
        raise SparseBNNError(
            f"Expected model {config.model} to fit images of shape {dataset.input_shape} and "
            f"`model_options`: {str(error).splitlines()[0][:200]}"
        ) from error


def _quantizer_factory(config: RunConfig) -> Callable[[int], SubsetKernel]:
    """Makes one kernel quantizer a layer, each with its own seed."""
    cls = METHODS[config.method]
    options = {k: v for k, v in config.options.items() if k not in SCHEDULED}
    if config.first_step:
        options["starts_as"] = "float"
    elif choose_after(config.method, config.options) is not None:
        options["starts_as"] = starts_as(config.method, config.options)
    layers = itertools.count()

    def factory(codewords: int) -> SubsetKernel:
        sequence = np.random.SeedSequence((config.seed, next(layers)))
        return cls(codewords, seed=int(sequence.generate_state(1)[0] >> 1), **options)

    return factory


def own_network(network: Network, config: RunConfig, dataset: Dataset) -> keras.Model:
    """The user's network, checked. Call it in the strategy's scope, with the seeds set.

    Raises:
        SparseBNNError: it is no Sequential or functional model, does not fit the dataset, or
            cannot be trained with these settings.
    """
    if isinstance(network, keras.Model):
        model = network
        if config.strategy != "none":
            raise SparseBNNError(
                f"Expected a builder with strategy {config.strategy}, got a model, whose "
                "variables are made already. Pass a function from (input_shape, classes) to "
                "a model."
            )
    else:
        model = network(dataset.input_shape, dataset.classes)
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, *dataset.input_shape))
    if not isinstance(model, keras.Model) or model.inputs is None or model.outputs is None:
        raise SparseBNNError(
            "Expected a Sequential or functional Keras model, got "
            f"{type(model).__name__}. Wrap its layers in keras.Model(inputs, outputs)."
        )
    dataset.check_fits(model, "network")
    if config.teacher == "auto":
        raise SparseBNNError(
            "Expected a file or the folder of a run as the teacher of your own network, got "
            '"auto", which trains the float network of a named one.'
        )
    if is_compiled(model):
        for name in ("teacher", "first_step"):
            if getattr(config, name):
                raise SparseBNNError(
                    f"Expected a model that is not compiled with `{name}`, whose optimizer and "
                    "loss are the run's, got a compiled one."
                )
        if (done := steps_done(model)) > 0:
            raise SparseBNNError(
                f"Expected an optimizer that begins, got one after {done} steps. Compile the "
                "model again."
            )
    return model


def is_compiled(model: keras.Model) -> bool:
    """Whether a model brings its own optimizer and loss."""
    return getattr(model, "optimizer", None) is not None


def recorded(config: RunConfig, model: keras.Model) -> RunConfig:
    """The settings of a run of the user's own network, as its `run.json` has them.

    `model` is "own", and `model_options` tell one architecture from another: no layer's name
    counts, but every other setting of the layers, how they are connected and, if the model is
    compiled, its optimizer and loss.

    Raises:
        SparseBNNError: a layer has no configuration, so the model could not be saved.
    """
    try:
        described = [_without_names(json.loads(model.to_json())["config"])]
        options: dict[str, Any] = {}
        if is_compiled(model):
            compiled = model.get_compile_config()
            described.append([compiled["optimizer"], compiled["loss"]])
            options["compiled"] = True
    except (NotImplementedError, TypeError, ValueError, KeyError) as error:
        raise SparseBNNError(
            "Expected a network that Keras can save, got: "
            f"{' '.join(str(error).split())[:200]} Give its layers a get_config."
        ) from error
    text = json.dumps(described, sort_keys=True, default=str)
    options["architecture"] = hashlib.sha256(text.encode()).hexdigest()
    return dataclasses.replace(config, model=OWN_NETWORK, model_options=options)


def _layer_names(config: object) -> Iterator[str]:
    """Names of models and layers, in their order; nested ones, too."""
    if isinstance(config, dict) and isinstance(config.get("layers"), list):
        yield str(config.get("name"))
        for layer in config["layers"]:
            inner = layer.get("config")
            yield str(inner.get("name"))
            yield from _layer_names(inner)


def _without_names(config: object) -> object:
    """A model's configuration with numbers for the names of its layers, and no other names.

    Keras numbers what has no name of its own, quantizers too, over the whole process.
    """
    numbers = {name: f"#{i}" for i, name in enumerate(dict.fromkeys(_layer_names(config)))}

    def renamed(value: object) -> object:
        if isinstance(value, dict):
            own = str(value.get("name")) in numbers
            return {k: renamed(v) for k, v in value.items() if k != "name" or own}
        if isinstance(value, list):
            return [renamed(item) for item in value]
        return numbers.get(value, value) if isinstance(value, str) else value

    return renamed(config)
