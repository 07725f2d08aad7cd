"""The matrix of an experiment: a JSON file, validated, and the runs that it stands for.

    {"version": 1,
     "datasets": ["fashion_mnist"], "networks": ["small"], "seeds": [0, 1, 2],
     "settings": {"epochs": 5, "batch_size": 128},
     "variants": [{"name": "one_bit", "method": "one_bit"},
                  {"name": "random", "method": "random", "codewords": [16, 32]},
                  {"name": "learned_noise", "method": "learned", "codewords": [16, 32],
                   "options": {"noise_scale": 0.3}, "settings": {"epochs": 6}}]}

`settings` are those of a run (`RunConfig`) and hold for all; a variant may override them, and
may have `networks` of its own.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_sparsebnn._files import read_json
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["Matrix", "Run", "file_name", "run_name"]

VERSION = 1
MOST_RUNS = 100_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_KEYS = {"version", "description", "datasets", "networks", "seeds", "settings", "variants"}
_VARIANT_KEYS = {"name", "method", "networks", "codewords", "options", "settings"}
# Given by the matrix itself.
_TAKEN = ("version", "dataset", "model", "method", "codewords", "options", "seed", "data_dir")


def run_name(
    dataset: str, network: str, variant: str, codewords: int | Mapping[str, int], seed: int
) -> str:
    """The name of a run and its folder: everything in which the runs of a matrix differ."""
    dataset, network = (file_name(text) for text in (dataset, network))
    return f"{dataset}.{network}.{variant}.n{codewords}.seed{seed}"


def file_name(text: str) -> str:
    """`text` with characters that a file name should not have replaced."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)


@dataclasses.dataclass(frozen=True)
class Run:
    """One cell of a matrix: the name of its variant, and its setting."""

    variant: str
    config: RunConfig

    @property
    def name(self) -> str:
        """See `run_name`."""
        config = self.config
        return run_name(
            config.dataset, config.model, self.variant, config.codewords, config.seed
        )


def _expect(holds: bool, what: str, value: object, where: str) -> None:
    if not holds:
        raise SparseBNNError(f"Expected {what}, got {value!r:.60} ({where}).")


def _list(
    data: Mapping[str, Any], key: str, kind: type, default: object, where: str
) -> list[Any]:
    values: Any = data.get(key, default)
    what = f"`{key}` to be a list of {'integers' if kind is int else 'texts'}, each once"
    holds = isinstance(values, list) and len(values) > 0
    holds = holds and all(type(value) is kind for value in values)
    _expect(holds and len(set(values)) == len(values), what, values, where)
    return list(values)


def _object(data: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = data.get(key, {})
    _expect(isinstance(value, dict), f"`{key}` to be an object", value, where)
    return dict(value)


def _known(data: Mapping[str, Any], keys: set[str], where: str) -> None:
    unknown = sorted(set(data) - keys)
    _expect(not unknown, f"only {', '.join(sorted(keys))}", (unknown or [""])[0], where)


@dataclasses.dataclass(frozen=True)
class Matrix:
    """All runs of an experiment, in the order in which they are made.

    All runs of one seed come before those of the next: whenever an experiment is stopped, its
    variants have run with about the same number of seeds.

    Attributes:
        runs: with distinct names.

    Raises:
        SparseBNNError: no runs, too many, or two of one name.

    Example:
        >>> matrix = Matrix.from_dict({
        ...     "version": 1, "datasets": ["digits"], "networks": ["small"], "seeds": [0, 1],
        ...     "variants": [{"name": "random", "method": "random", "codewords": [16, 32]}]})
        >>> [run.name for run in matrix.runs][:2]
        ['digits.small.random.n16.seed0', 'digits.small.random.n32.seed0']
    """

    runs: tuple[Run, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.runs) <= MOST_RUNS:
            raise SparseBNNError(f"Expected 1 to {MOST_RUNS} runs, got {len(self.runs)}.")
        seen: set[str] = set()
        for run in self.runs:
            if run.name in seen:
                raise SparseBNNError(
                    f"Expected runs of different names, got {run.name} twice. Rename a variant."
                )
            seen.add(run.name)

    def only(self, patterns: Sequence[str]) -> Matrix:
        """The runs whose names match one of the shell patterns (`*.random.n16.*`), in order.

        Raises:
            SparseBNNError: a pattern that matches no run.
        """
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(run.name, pattern) for run in self.runs):
                raise SparseBNNError(
                    f"Expected a pattern that matches runs like {self.runs[0].name}, got "
                    f"{pattern!r:.80}."
                )
        return Matrix(
            tuple(
                run
                for run in self.runs
                if any(fnmatch.fnmatchcase(run.name, pattern) for pattern in patterns)
            )
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "matrix") -> Matrix:
        """From the content of a matrix file, which is checked.

        Raises:
            SparseBNNError: it is not valid; says the first fault, and `where`.
        """
        version = data.get("version")
        _expect(
            version == VERSION and type(version) is int, f"version {VERSION}", version, where
        )
        _known(data, _KEYS, where)
        datasets = _list(data, "datasets", str, None, where)
        networks = _list(data, "networks", str, None, where)
        seeds = _list(data, "seeds", int, None, where)
        settings = _object(data, "settings", where)
        variants = data.get("variants")
        _expect(
            isinstance(variants, list) and all(isinstance(v, dict) for v in variants),
            "`variants` to be a list of objects",
            variants,
            where,
        )
        cells = len(seeds) * len(datasets) * len(networks) * len(variants or [])
        _expect(cells <= MOST_RUNS, f"at most {MOST_RUNS} runs", cells, where)
        runs = []
        for seed in seeds:
            for dataset in datasets:
                for variant in variants or []:
                    fixed = {"dataset": dataset, "seed": seed}
                    runs += _cells(variant, networks, fixed, settings, where)
        try:
            return cls(tuple(runs))
        except SparseBNNError as error:
            raise SparseBNNError(f"{error} ({where})") from error

    @classmethod
    def load(cls, path: Path) -> Matrix:
        """Reads a matrix file.

        Raises:
            SparseBNNError: it is not a valid matrix.
            OSError: it cannot be read.
        """
        return cls.from_dict(read_json(path), str(path))


def _cells(
    variant: Mapping[str, Any],
    networks: Sequence[str],
    fixed: Mapping[str, Any],
    settings: Mapping[str, Any],
    where: str,
) -> list[Run]:
    name = variant.get("name")
    fits = isinstance(name, str) and _NAME.fullmatch(name) is not None
    _expect(fits, "a variant's `name` to have 1 to 60 of A-Z, a-z, 0-9, _ and -", name, where)
    where = f"{where}: variant {name}"
    _known(variant, _VARIANT_KEYS, where)
    method = variant.get("method")
    _expect(isinstance(method, str), "`method` to be a text", method, where)
    default = [512] if method == "one_bit" else None
    merged = {**settings, **_object(variant, "settings", where)}
    taken = next((key for key in _TAKEN if key in merged), None)
    _expect(taken is None, "`settings` without what the matrix itself says", taken, where)
    return [
        Run(
            str(name),
            RunConfig.from_dict(
                {
                    **merged,
                    **fixed,
                    "model": network,
                    "method": method,
                    "codewords": codewords,
                    "options": _object(variant, "options", where),
                },
                where,
            ),
        )
        for network in _list(variant, "networks", str, list(networks), where)
        for codewords in _list(variant, "codewords", int, default, where)
    ]
