"""What a training run is made of: `run.json`, validated. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training.atomic import read_json, write_json
from keras_sparsebnn.training.method_options import METHODS, OPTIONS, choose_after
from keras_sparsebnn.training.rules import (
    BOOLEAN,
    Rule,
    integer,
    is_int,
    is_number,
    number,
    one_of,
    or_none,
    positive,
    text,
)

__all__ = ["METHODS", "OPTIONS", "RunConfig"]

VERSION = 1

_RULES: dict[str, Rule] = {
    "version": (str(VERSION), lambda v: is_int(v) and v == VERSION),
    "dataset": text(200),
    "data_dir": or_none(text(4096)),
    "image_size": or_none(integer(4, 1024)),
    "augmentation": one_of("none", "shift", "flip_shift"),
    "model": text(100),
    "method": one_of(*METHODS),
    "codewords": (
        "a power of two in [2, 512]",
        lambda v: is_int(v) and 2 <= v <= 512 and v & (v - 1) == 0,
    ),
    "options": ("an object", lambda v: isinstance(v, dict)),
    "epochs": integer(1, 100_000),
    "batch_size": integer(1, 1_000_000),
    "learning_rate": positive(1e3),
    "schedule": one_of("cosine", "constant"),
    "warmup_epochs": number(0, 100_000),
    "batch_norm_batches": integer(0, 10**9),
    "label_smoothing": ("a number in [0, 1)", lambda v: is_number(v) and 0 <= v < 1),
    "seed": integer(0, 2**31 - 1),
    "mixed_precision": one_of("none", "bfloat16"),
    "strategy": one_of("none", "mirrored"),
    "deterministic": BOOLEAN,
    "checkpoint_every": integer(0, 10**9),
}

# These may differ when a run goes on: they do not change its outcome.
_FREE = ("data_dir", "checkpoint_every")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides the outcome of a run.

    Args:
        dataset: see `data.load`; so are `data_dir`, `image_size` and `augmentation`.
        model: a key of `models.MODELS`.
        method: a key of `quantizers.METHODS`: "learned" (`SparseKernel`), "one_bit", ...
        codewords: n; with "one_bit" always 512, all of them.
        options: of the quantizer, see `OPTIONS`.
        epochs: passes over the training split.
        batch_size: over all replicas together.
        learning_rate: Adam's, at its highest.
        schedule: "cosine" (to 0) or "constant", after the warm-up.
        warmup_epochs: of linear warm-up from 0; may be a fraction.
        batch_norm_batches: at the end, replace batch norm's moving averages by averages over so
            many training batches (at most an epoch) with the final selection; 0: leave them.
            Short runs and noisy selections need it.
        label_smoothing: in [0, 1), in training and in `val_loss`.
        seed: of weights, selection, noise, order and augmentation.
        mixed_precision: "none" or "bfloat16".
        strategy: "none" or "mirrored" (all devices of this machine).
        deterministic: make TensorFlow use only deterministic kernels, where it has others.
        checkpoint_every: steps between checkpoints within an epoch; 0: only after each epoch.

    Raises:
        SparseBNNError: for the first value of a wrong type or out of range.

    Example:
        >>> RunConfig(codewords=16).bits_per_kernel
        4
    """

    version: int = VERSION
    dataset: str = "digits"
    data_dir: str | None = None
    image_size: int | None = None
    augmentation: str = "none"
    model: str = "small"
    method: str = "learned"
    codewords: int = 32
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 3e-3
    schedule: str = "cosine"
    warmup_epochs: float = 0.0
    batch_norm_batches: int = 100
    label_smoothing: float = 0.0
    seed: int = 0
    mixed_precision: str = "none"
    strategy: str = "none"
    deterministic: bool = True
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            _check(name, getattr(self, name), rule)
        rules = OPTIONS[self.method]
        for name, value in self.options.items():
            if name not in rules:
                known = ", ".join(rules) or "none"
                raise SparseBNNError(
                    f"Expected an option of method {self.method} ({known}), got {name!r:.60}."
                )
            _check(name, value, rules[name])
            start = name.removesuffix("_end")
            if name != start and start not in self.options:
                raise SparseBNNError(
                    f"Expected `{start}` together with `{name}`, got the end alone. "
                    f"Set {start}, too."
                )
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

    @property
    def bits_per_kernel(self) -> int:
        """`log2(codewords)`."""
        return self.codewords.bit_length() - 1

    def to_dict(self) -> dict[str, Any]:
        """As `run.json` has it."""
        return {**dataclasses.asdict(self), "options": dict(self.options)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "run.json") -> RunConfig:
        """From what `to_dict` made, or someone claims it did.

        Raises:
            SparseBNNError: unknown keys, wrong types, values out of range; names `where`.
        """
        unknown = sorted(set(data) - set(_RULES))
        if unknown:
            raise SparseBNNError(
                f"Expected the keys of a run, got {unknown[0]!r:.60} ({where}). Remove it."
            )
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
        mine, theirs = self.to_dict(), other.to_dict()
        return next((k for k in mine if k not in _FREE and mine[k] != theirs[k]), None)


def _check(name: str, value: Any, rule: Rule) -> None:
    expected, holds = rule
    if not holds(value):
        raise SparseBNNError(f"Expected `{name}` to be {expected}, got {value!r:.60}.")
