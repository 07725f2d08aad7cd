"""Named recipes, and how they become the settings of a run. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_sparsebnn._files import read_json
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers.methods import METHODS, OPTIONS
from keras_sparsebnn.training.settings.choices import NETWORK_OPTIONS
from keras_sparsebnn.training.settings.config import RunConfig, upgraded

__all__ = ["RECIPES", "Recipe", "configured", "load_recipe"]

_FIELDS = {field.name: field for field in dataclasses.fields(RunConfig)}
_OBJECTS = ("options", "model_options")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Settings of `RunConfig` under a name; all others keep their defaults.

    Attributes:
        name: as in `--recipe NAME`.
        summary: one line.
        settings: what differs from `RunConfig()`.
    """

    name: str
    summary: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_REACTNET: dict[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": "linear",
    "teacher": "auto",
    "batch_size": 128,
    "epochs": 60,
}
_TWO_STEP: dict[str, Any] = {
    "first_step": 0.5,
    "first_step_weight_decay": 1e-5,
    "weight_decay": 0.0,
}

_IMAGENET_REACTNET: dict[str, Any] = {
    **_REACTNET,
    **_TWO_STEP,
    "dataset": "imagenet2012",
    "image_size": 224,
    "augmentation": "resized_crop_lighting",
    "epochs": 256,
    "batch_size": 512,
    "learning_rate": 2.5e-3,
    "teacher_epochs": 90,
    "checkpoint_every": 1000,
    "mixed_precision": "bfloat16",
}

_ADABIN: dict[str, Any] = {
    "method": "one_bit",
    "codewords": 512,
    "options": {"standardize": True, "gradient": "ede"},
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "schedule": "cosine",
}

_CIFAR10_SGD: dict[str, Any] = {
    "dataset": "cifar10",
    "augmentation": "crop_flip",
    "model": "resnet20",
    "epochs": 400,
    "batch_size": 128,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "schedule": "cosine",
}

_ALL = (
    Recipe("quick", "Adam and a cosine: the default; takes minutes on small images"),
    Recipe(
        "one-step",
        "as reactnet-two-step, with binary kernels from the start",
        _REACTNET,
    ),
    Recipe(
        "reactnet-two-step",
        "ReActNet's: binary activations first, then kernels, too; a float teacher",
        {**_REACTNET, **_TWO_STEP},
    ),
    Recipe(
        "cifar10-sgd",
        "ResNet-20 on CIFAR-10 as in IR-Net: SGD at 0.1, cosine, 400 epochs",
        {
            **_CIFAR10_SGD,
            # The logits' gradients are far smaller than those of weights: Adam, at 3e-3.
            "logit_optimizer": "adam",
            "logit_rate_factor": 0.03,
        },
    ),
    Recipe(
        "cifar10-adabin",
        "AdaBin's ResNet-20 on CIFAR-10: SGD at 0.1, cosine, 400 epochs, EDE",
        {
            **_ADABIN,
            "dataset": "cifar10",
            "augmentation": "crop_flip",
            "model": "adabin20",
            "epochs": 400,
            "batch_size": 128,
            "weight_decay": 1e-4,
        },
    ),
    Recipe(
        "imagenet-adabin",
        "AdaBin's ResNet-18 on ImageNet: SGD at 0.1, cosine, 120 epochs, EDE",
        {
            **_ADABIN,
            "dataset": "imagenet2012",
            "image_size": 224,
            "augmentation": "resized_crop_lighting",
            "model": "adabin18",
            "epochs": 120,
            "batch_size": 256,
            "weight_decay": 1e-5,
            "checkpoint_every": 1000,
        },
    ),
    Recipe(
        "cifar10-multi-bit",
        "ResNet-20 on CIFAR-10 with 2-bit weights and activations; the rest as cifar10-sgd",
        {
            **_CIFAR10_SGD,
            "method": "one_bit",
            "codewords": 512,
            "model_options": {"activation_bits": 2, "weight_bits": 2},
        },
    ),
    Recipe(
        "oblivious",
        "a network for sparsebnn oblivious: free binary kernels, Adam and a cosine",
        {"model": "oblivious", "method": "one_bit", "codewords": 512, "learning_rate": 5e-3},
    ),
    Recipe(
        "imagenet-rbonn",
        "ResNet-18 on ImageNet as in RBONN: 128 epochs of float kernels, then 256, a teacher",
        {
            **_REACTNET,
            **_TWO_STEP,
            "method": "rbonn",
            "codewords": 512,
            "dataset": "imagenet2012",
            "image_size": 224,
            "augmentation": "resized_crop_lighting",
            "model": "resnet18",
            "epochs": 384,
            "first_step": 1 / 3,
            "batch_size": 512,
            "logit_rate_factor": 0.1,
            "teacher_epochs": 90,
            "checkpoint_every": 1000,
            "mixed_precision": "bfloat16",
        },
    ),
    Recipe(
        "imagenet-bcdnet",
        "BCDNet-A on ImageNet: 60 epochs of float kernels, then 120, cosine, half a teacher",
        {
            **_REACTNET,
            **_TWO_STEP,
            "dataset": "imagenet2012",
            "image_size": 224,
            "augmentation": "resized_crop",
            "model": "bcdnet_a",
            "epochs": 180,
            "first_step": 1 / 3,
            "batch_size": 256,
            "learning_rate": 5e-4,
            "schedule": "cosine",
            "label_smoothing": 0.1,
            "teacher_weight": 0.5,
            "teacher_epochs": 90,
            "checkpoint_every": 1000,
            "mixed_precision": "bfloat16",
        },
    ),
    Recipe(
        "imagenet-mobile-grouped",
        "mobile_grouped on ImageNet, of any groups: 128 + 128 epochs as imagenet-reactnet",
        {**_IMAGENET_REACTNET, "model": "mobile_grouped"},
    ),
    Recipe(
        "imagenet-reactnet",
        "ResNet-18 on ImageNet as in ReActNet: 128 + 128 epochs, crops, lighting, a teacher",
        {**_IMAGENET_REACTNET, "model": "resnet18"},
    ),
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}
"""Recipes by name. `quick` changes nothing; see docs/training.md for sources and deviations."""


def load_recipe(name: str) -> Recipe:
    """A recipe by its name, or from a JSON file of settings, such as another run's `run.json`.

    Raises:
        SparseBNNError: no such recipe, or the file has keys that are not settings.

    Example:
        >>> load_recipe("cifar10-sgd").settings["learning_rate"]
        0.1
    """
    if name in RECIPES:
        return RECIPES[name]
    if not name.endswith(".json"):
        raise SparseBNNError(
            f"Expected a recipe out of {', '.join(RECIPES)}, or a .json file, got "
            f"{name!r:.80}.{_near(name, RECIPES)}"
        )
    path = Path(name).expanduser()
    if not path.is_file():
        raise SparseBNNError(f"Expected a recipe, found no such file ({path}).")
    # Checked as a whole, with the version that the file says.
    RunConfig.from_dict(read := read_json(path), str(path))
    settings = {k: v for k, v in upgraded(read).items() if k not in ("version", "recipe")}
    return Recipe(name, f"settings from {path}", settings)


def configured(
    recipe: str | None = None, settings: Mapping[str, Any] | None = None
) -> RunConfig:
    """A run's configuration: a recipe, changed by settings.

    Args:
        recipe: see `load_recipe`; `quick` if None.
        settings: fields of `RunConfig`, and options of the method and `NETWORK_OPTIONS` by
            their own names. Options of the recipe that another method does not have are left
            out.

    Raises:
        SparseBNNError: an unknown recipe or key, which names its nearest matches; a value out
            of range.

    Example:
        >>> config = configured("one-step", {"epochs": 5, "travel": 8.0})
        >>> config.epochs, config.schedule, dict(config.options)
        (5, 'linear', {'travel': 8.0})
    """
    chosen = RECIPES["quick"] if recipe is None else load_recipe(recipe)
    given = dict(settings or {})
    merged: dict[str, Any] = {**chosen.settings}
    merged["recipe"] = chosen.name if recipe is not None else None
    fields = {key: given.pop(key) for key in list(given) if key in _FIELDS}
    method = fields.get("method", merged.get("method", "learned"))
    if not isinstance(method, str) or method not in METHODS:
        method = "learned"  # RunConfig says what is wrong with it
    network = {key: given.pop(key) for key in list(given) if key in NETWORK_OPTIONS}
    if network:
        fields["model_options"] = {**fields.get("model_options", {}), **network}
    for key in _OBJECTS:
        if isinstance(fields.get(key), dict):
            fields[key] = {**merged.get(key, {}), **fields[key]}
    if "method" in fields and "options" not in fields:
        kept = merged.get("options", {})
        merged["options"] = {k: v for k, v in kept.items() if k in OPTIONS[method]}
    for key in given:
        if key not in OPTIONS[method]:
            raise SparseBNNError(_unknown(key, method))
    merged.update(fields)
    if given:
        options = merged.get("options", {})
        merged["options"] = {**options, **given} if isinstance(options, dict) else options
    if "codewords" not in fields:
        if method == "one_bit":
            merged["codewords"] = 512
        elif chosen.settings.get("method") == "one_bit":
            merged.pop("codewords", None)
    return RunConfig(**merged)


def _near(key: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(key, sorted(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(matches)}?" if matches else ""


def _unknown(key: str, method: str) -> str:
    elsewhere = sorted(m for m, rules in OPTIONS.items() if key in rules)
    if elsewhere:
        return (
            f"Expected an option of method {method}, got {key!r:.60}, which is one of "
            f"{', '.join(elsewhere)}. Choose that --method."
        )
    known = {*_FIELDS, *OPTIONS[method], *NETWORK_OPTIONS} - {"version"}
    hint = _near(key, known) or " sparsebnn train --help lists them."
    return (
        f"Expected a setting of a run or an option of method {method}, got {key!r:.60}.{hint}"
    )
