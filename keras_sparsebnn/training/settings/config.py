"""The settings of a training run: `run.json`, validated. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_sparsebnn._files import read_json, write_json
from keras_sparsebnn._rules import (
    BOOLEAN,
    CODEWORDS,
    Rule,
    check,
    integer,
    is_int,
    is_number,
    number,
    one_of,
    or_none,
    positive,
    strictly_between,
    text,
)
from keras_sparsebnn.data.options import AUGMENTATIONS, IMAGE_SIZES
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers.methods import METHODS, OPTIONS, check_logits, choose_after
from keras_sparsebnn.training.settings.choices import (
    NETWORK_OPTIONS,
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    STRATEGIES,
)

__all__ = ["FREE", "RunConfig", "upgraded"]

VERSION = 4


def upgraded(data: Mapping[str, Any]) -> dict[str, Any]:
    """A `run.json` of an earlier version as this version writes it; others unchanged.

    Version 1 had one-step training with Adam only, which is what the defaults of the later
    settings mean. Its finished runs can be read; its unfinished runs cannot go on, because
    their checkpoints hold another optimizer. Versions 1 and 2 had free logits only; in version
    3 the method "learned" started from random codewords.
    """
    version = data.get("version")
    if not is_int(version) or not 1 <= version < VERSION:
        return dict(data)
    options = data.get("options", {})
    if data.get("method", "learned") == "learned" and isinstance(options, dict):
        old: dict[str, Any] = {} if version == 3 else {"logits": "free"}
        options = {**old, "initial_selection": "random", **options}
    return {**data, "version": VERSION, "options": options}


_OBJECT: Rule = ("an object", lambda v: isinstance(v, dict))

_RULES: dict[str, Rule] = {
    "version": (str(VERSION), lambda v: is_int(v) and v == VERSION),
    "recipe": or_none(text(4096)),
    "dataset": text(200),
    "data_dir": or_none(text(4096)),
    "image_size": or_none(integer(*IMAGE_SIZES)),
    "augmentation": one_of(*AUGMENTATIONS),
    "holdout": or_none(strictly_between(0, 1)),
    "model": text(100),
    "model_options": _OBJECT,
    "float_network": BOOLEAN,
    "method": one_of(*METHODS),
    "codewords": CODEWORDS,
    "options": _OBJECT,
    "epochs": integer(1, 100_000),
    "first_step": ("a number in [0, 1)", lambda v: is_number(v) and 0 <= v < 1),
    "batch_size": integer(1, 1_000_000),
    "optimizer": one_of(*OPTIMIZERS),
    "learning_rate": positive(1e3),
    "schedule": one_of(*SCHEDULES),
    "warmup_epochs": number(0, 100_000),
    "momentum": ("a number in [0, 1)", lambda v: is_number(v) and 0 <= v < 1),
    "weight_decay": number(0, 1),
    "first_step_weight_decay": number(0, 1),
    "logit_optimizer": one_of(*OPTIMIZERS),
    "logit_rate_factor": number(0, 1e6),
    "label_smoothing": ("a number in [0, 1)", lambda v: is_number(v) and 0 <= v < 1),
    "teacher": or_none(text(4096)),
    "teacher_weight": ("a number in (0, 1]", lambda v: is_number(v) and 0 < v <= 1),
    "teacher_temperature": positive(1e3),
    "teacher_epochs": or_none(integer(1, 100_000)),
    "batch_norm_batches": integer(0, 10**9),
    "seed": integer(0, 2**31 - 1),
    "mixed_precision": one_of(*PRECISIONS),
    "strategy": one_of(*STRATEGIES),
    "devices": or_none(integer(1, 1024)),
    "deterministic": BOOLEAN,
    "checkpoint_every": integer(0, 10**9),
}

FREE = ("recipe", "data_dir", "checkpoint_every")
"""Settings that may differ when a run goes on: they do not change its outcome."""

# Earlier versions of this package refuse a run.json that has these.
_YOUNGER = ("holdout",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides the outcome of a run.

    Args:
        recipe: the recipe that these settings began with; a note without effect.
        dataset: see `data.load`, also for `data_dir`, `image_size`, `augmentation` and
            `holdout`.
        model: a key of `models.MODELS`; "own" where the user brought the network.
        model_options: further arguments of that network's builder.
        float_network: build the network with float kernels and activations, as a baseline or
            a teacher. `method`, `codewords` and `options` then have no effect.
        method: a key of `quantizers.METHODS`: "learned" (`SparseKernel`), "one_bit", ...
        codewords: n, or a mapping of layer names and patterns to n; always 512 with "one_bit".
        options: of the method, see `quantizers.methods.OPTIONS`.
        epochs: passes over the training split, including those of the first step.
        first_step: the fraction of the epochs, rounded to whole ones, that trains float kernels
            with binary activations (two-step training); 0: one step. The second step starts
            with new momenta and a new learning-rate schedule.
        batch_size: images in a batch, over all replicas together.
        optimizer: of the weights, "adam" or "sgd".
        learning_rate: the highest value of the schedule.
        schedule: after the warm-up: "cosine" or "linear", which end at 0, or "constant".
        warmup_epochs: epochs of linear warm-up from 0 in each step; may be a fraction.
        momentum: used by SGD alone.
        weight_decay: L2 decay of kernels; in the first step `first_step_weight_decay`.
        logit_optimizer: the optimizer of the selection logits, which never decay.
        logit_rate_factor: the logits' learning rate as a multiple of the weights'.
        label_smoothing: in [0, 1), in training and in `val_loss`.
        teacher: a `.keras` or `.h5` file or the folder of a run; "auto" first trains the float
            network of the same family, in the folder `teacher`; None: no teacher.
        teacher_weight: w of `(1 - w) CE(labels) + w T^2 KL(teacher || student)`.
        teacher_temperature: T.
        teacher_epochs: epochs of the "auto" teacher; None: the same number as `epochs`.
        batch_norm_batches: at the end, replace batch norm's moving averages by averages over
            that many training batches (at most an epoch) with the final selection, which short
            runs and noisy selections need; 0: keep the moving averages.
        seed: of weights, selection, noise, order and augmentation.
        mixed_precision: "none" or "bfloat16".
        strategy: "none", "mirrored" (several devices of this machine), "multi_worker" (the
            machines in TF_CONFIG) or "tpu".
        devices: how many of this machine's devices to use; None: all. Without GPUs, that many
            logical CPUs.
        deterministic: use only deterministic kernels of TensorFlow where there is a choice.
        checkpoint_every: steps between checkpoints within an epoch; 0: only after each epoch.

    Raises:
        SparseBNNError: for the first value of a wrong type or out of range.

    Example:
        >>> RunConfig(codewords=16).bits_per_kernel
        4
    """

    version: int = VERSION
    recipe: str | None = None
    dataset: str = "digits"
    data_dir: str | None = None
    image_size: int | None = None
    augmentation: str = "none"
    holdout: float | None = None
    model: str = "small"
    model_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    float_network: bool = False
    method: str = "learned"
    codewords: int | Mapping[str, int] = 32
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    epochs: int = 10
    first_step: float = 0.0
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float = 3e-3
    schedule: str = "cosine"
    warmup_epochs: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 0.0
    first_step_weight_decay: float = 0.0
    logit_optimizer: str = "adam"
    logit_rate_factor: float = 1.0
    label_smoothing: float = 0.0
    teacher: str | None = None
    teacher_weight: float = 1.0
    teacher_temperature: float = 1.0
    teacher_epochs: int | None = None
    batch_norm_batches: int = 100
    seed: int = 0
    mixed_precision: str = "none"
    strategy: str = "none"
    devices: int | None = None
    deterministic: bool = True
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            check(name, getattr(self, name), rule)
        rules = OPTIONS[self.method]
        for name, value in self.options.items():
            if name not in rules:
                known = ", ".join(rules)
                raise SparseBNNError(
                    f"Expected an option of method {self.method} ({known}), got {name!r:.60}."
                )
            check(name, value, rules[name].rule)
            start = name.removesuffix("_end")
            if name != start and start not in self.options:
                raise SparseBNNError(
                    f"Expected `{start}` together with `{name}`, got the end alone. "
                    f"Set {start}, too."
                )
        for name in NETWORK_OPTIONS.keys() & self.model_options.keys():
            check(name, self.model_options[name], NETWORK_OPTIONS[name])
        if self.method == "learned":
            check_logits(self.options)
        if "starts_as" in self.options and choose_after(self.method, self.options) is None:
            raise SparseBNNError(
                "Expected `choose_after` together with `starts_as`, got the start alone. "
                "Set choose_after, too."
            )
        if self.method == "one_bit" and self.codewords != 512:
            raise SparseBNNError(
                f"Expected `codewords` to be 512 with method one_bit, got {self.codewords}. "
                "Leave it out."
            )
        if self.warmup_epochs > self.epochs:
            raise SparseBNNError(
                f"Expected `warmup_epochs` to be at most {self.epochs}, the `epochs`, got "
                f"{self.warmup_epochs:g}."
            )
        if self.first_step and not 0 < self.first_step_epochs < self.epochs:
            raise SparseBNNError(
                f"Expected `first_step` to leave a whole epoch to each step, got "
                f"{self.first_step:g} of {self.epochs}. Train more `epochs`."
            )
        if self.first_step and self.float_network:
            raise SparseBNNError(
                "Expected `first_step` to be 0 with `float_network`, which has no second step, "
                f"got {self.first_step:g}."
            )
        if self.strategy == "tpu" and self.options.get("matcher") == "scipy":
            raise SparseBNNError(
                'Expected `matcher` to be "graph" on a TPU, got "scipy", which is a callback.'
            )

    @property
    def first_step_epochs(self) -> int:
        """Epochs with float kernels; 0 with one-step training."""
        return round(self.first_step * self.epochs)

    @property
    def bits_per_kernel(self) -> int:
        """`log2(codewords)`; of the largest where layers differ."""
        n = self.codewords
        return (n if isinstance(n, int) else max(n.values())).bit_length() - 1

    def of_teacher(self) -> RunConfig:
        """The run that trains the "auto" teacher: the float network of the same family.

        With the student's data, optimizer and schedule, the decay of the student's first step,
        and one step of its own.
        """
        return dataclasses.replace(
            self,
            float_network=True,
            method="one_bit",
            codewords=512,
            options={},
            epochs=self.teacher_epochs or self.epochs,
            warmup_epochs=min(self.warmup_epochs, self.teacher_epochs or self.epochs),
            weight_decay=max(self.first_step_weight_decay, self.weight_decay),
            first_step=0.0,
            first_step_weight_decay=0.0,
            teacher=None,
            teacher_epochs=None,
        )

    @property
    def data_options(self) -> dict[str, Any]:
        """What `data.load` gets besides the name of the dataset."""
        names = ("data_dir", "image_size", "augmentation", "holdout")
        return {name: getattr(self, name) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """As `run.json` has it: settings that are younger than a version only where set."""
        settings = dataclasses.asdict(self)
        return {k: v for k, v in settings.items() if k not in _YOUNGER or v is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "run.json") -> RunConfig:
        """The settings in a dictionary that `to_dict` made, or that claims to be one.

        Earlier versions are read, see `upgraded`.

        Raises:
            SparseBNNError: unknown keys, wrong types, values out of range; names `where`.
        """
        unknown = sorted(set(data) - set(_RULES))
        if unknown:
            raise SparseBNNError(
                f"Expected the keys of a run, got {unknown[0]!r:.60} ({where}). Remove it."
            )
        data = upgraded(data)
        try:
            return cls(**data)
        except SparseBNNError as error:
            raise SparseBNNError(f"{error} ({where})") from error

    def save(self, path: Path) -> None:
        """Writes `run.json`, atomically."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: Path) -> RunConfig:
        """Reads `run.json`.

        Raises:
            SparseBNNError: it is not one.
            OSError: it cannot be read.
        """
        return cls.from_dict(read_json(path), str(path))

    def first_difference(self, other: RunConfig) -> str | None:
        """The first key in which two runs differ so that one cannot go on as the other."""
        names = (field.name for field in dataclasses.fields(self))
        compared = (name for name in names if name not in FREE)
        return next((k for k in compared if getattr(self, k) != getattr(other, k)), None)
