"""From a recipe to the folder of a model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_sparsebnn._files import read_json, replaced, write_json
from keras_sparsebnn.cli.process import import_keras
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments.clock import CpuClock
from keras_sparsebnn.experiments.matrix import Run
from keras_sparsebnn.experiments.provenance import provenance
from keras_sparsebnn.experiments.results import make_record
from keras_sparsebnn.pretrained.evaluation import evaluate, held_out
from keras_sparsebnn.pretrained.model import KINDS, SAMPLES, PretrainedModel
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["RECIPES", "add_samples", "config_of", "make"]

RECIPES = Path(__file__).parent


def config_of(recipe: Mapping[str, Any], data_dir: str | None = None) -> RunConfig:
    """The run of a recipe."""
    return RunConfig.from_dict({"version": 4, **recipe["run"], "data_dir": data_dir}, "recipe")


def make(name: str, data_dir: str | None, runs: Path, to: Path) -> PretrainedModel:
    """Trains where that is not done, converts, verifies, measures every file, writes them.

    Args:
        name: of a recipe in this folder.
        data_dir: where its data set lies.
        runs: gets the folder of the run.
        to: gets the folder of the model.

    Raises:
        SparseBNNError: no data, a file that does not compute what Keras does, ...
    """
    import_keras()
    from keras_sparsebnn._keras import keras
    from keras_sparsebnn.saved_models import load_model
    from keras_sparsebnn.training import train

    recipe = read_json(RECIPES / f"{name}.json")
    config = config_of(recipe, data_dir)
    (runs / name).mkdir(parents=True, exist_ok=True)
    clock = CpuClock(runs / name)
    saved = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: clock.save())
    metrics = train(config, runs / name, progress=True, report=_say, callbacks=[saved])
    network = load_model(runs / name / "model.keras")
    files = converted(network, recipe["labels"], data_dir, config)

    folder = to / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        with replaced(folder / file) as temporary:
            temporary.write_bytes(data)
    card = _card(name, recipe, config, network, files, metrics)
    model = PretrainedModel(folder, card)
    for kind in KINDS:
        accuracy = evaluate(model, kind, data_dir=data_dir, runtime="delegate")
        card["files"][f"{kind}.tflite"]["accuracy"] = accuracy
        print(f"{folder}/{kind}.tflite: {len(files[f'{kind}.tflite']):,} bytes, {accuracy:.2%}")
    add_samples(model, data_dir)
    environment = {**metrics["environment"], **provenance()}
    record = make_record(Run("pretrained", config), metrics, environment, clock.seconds())
    write_json(folder / "record.json", record)
    write_json(folder / "run.json", record["config"])
    write_json(folder / "card.json", card)
    return model


def add_samples(model: PretrainedModel, data_dir: str | None) -> None:
    """Writes a test image of each class: the first that every file classifies right.

    Args:
        model: with its files; samples that it has are replaced.
        data_dir: where the data set lies.

    Raises:
        SparseBNNError: no data, or a class of which there is no such image.
    """
    images, classes = held_out(model.card["data"]["name"], data_dir)
    inputs, right = model.prepared(images), np.ones(len(images), bool)
    for kind in KINDS:
        scores = np.asarray(model.interpreter(kind).predict(inputs))
        right &= scores.argmax(axis=-1) == classes
    firsts = []
    for index, label in enumerate(model.labels):
        found = np.flatnonzero(right & (classes == index))
        if not len(found):
            raise SparseBNNError(f"Expected a test image of class {label} that is recognised.")
        firsts.append(found[0])
    with replaced(model.folder / SAMPLES) as temporary, temporary.open("wb") as file:
        np.save(file, images[firsts], allow_pickle=False)


def _say(line: str) -> None:
    print(line, flush=True)


def converted(
    network: Any, labels: list[str], data_dir: str | None, config: RunConfig
) -> dict[str, bytes]:
    """The three files, with labels, checked against Keras.

    Raises:
        SparseBNNError: one of them computes something else.
    """
    from keras_sparsebnn.converters import convert_file, convert_keras_model, verify
    from keras_sparsebnn.data import load
    from keras_sparsebnn.tflite_file.associated_files import with_labels

    images, _ = next(iter(load(config.dataset, **config.data_options).test(64)))
    plain = convert_keras_model(network)
    files = {
        "lce.tflite": plain,
        "subbit.tflite": convert_file(plain, "subbit"),
        "subbit_int8.tflite": convert_file(plain, "subbit", weights="int8"),
    }
    for name, data in files.items():
        report = verify(network, data, images.numpy())
        print(f"{name}:\n{report}")
        files[name] = with_labels(data, labels)
    return files


def _card(
    name: str,
    recipe: Mapping[str, Any],
    config: RunConfig,
    network: Any,
    files: Mapping[str, bytes],
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """What `card.json` holds, but for the accuracies, which the files are measured for."""
    if not isinstance(config.codewords, int):
        raise SparseBNNError("Expected a recipe with the same n in all layers.")
    made = provenance()
    return {
        "version": 1,
        "name": name,
        "description": recipe["description"],
        "network": config.model,
        "codewords": config.codewords,
        "bits_per_weight": round(math.log2(config.codewords) / 9, 4),
        "input": {"shape": list(network.input_shape[1:]), "maximum": recipe["maximum"]},
        "labels": recipe["labels"],
        "data": {
            "name": config.dataset,
            "test_images": metrics["final"]["test_size"],
            **{key: recipe[key] for key in ("source", "training", "licence")},
        },
        "files": {
            file: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for file, data in files.items()
        },
        "keras_accuracy": metrics["final"]["test_accuracy"],
        "limits": recipe["limits"],
        "made": {
            **made,
            "tensorflow": metrics["environment"]["versions"]["tensorflow"],
            "command": f"python -m benchmarks.pretrained {name}",
        },
    }
