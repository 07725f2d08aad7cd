"""The settings of a search: `search.json`. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_sparsebnn._files import read_json
from keras_sparsebnn._rules import (
    CANDIDATES,
    SEARCHED,
    check,
    integer,
    is_codewords,
    number,
    one_of,
)
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.search.budget import Budget
from keras_sparsebnn.training.run.folder import RunFolder
from keras_sparsebnn.training.settings.config import FREE, RunConfig

__all__ = ["OVER", "SearchConfig"]

OVER = ("groups", "codewords")
"""What a search can be over."""

VALIDATION = 0.1
"""The part of the training images that candidates are compared on."""


def _are_choices(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and 0 < len(set(value)) == len(value)
        and all(map(is_codewords, value))
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Everything that decides the outcome of a search.

    Args:
        network: the run that trains what is found, as if nothing were searched. With
            "groups", its network takes `groups`; with "codewords" its method chooses them.
        over: "groups" or "codewords".
        budget: of each candidate.
        supernet: the folder of a finished run of the supernet (`groups="search"`), or of the
            1-bit network, with a `holdout`; None: it is trained first.
        choices: n of each 3x3 layer, with "codewords".
        population: as in `evolve`; likewise `generations`, `parents`, `mutation` and `seed`.
        batches: training batches that a candidate's batch norm is measured on.

    Raises:
        SparseBNNError: for the first value out of range.
    """

    network: RunConfig
    budget: Budget
    over: str = "groups"
    supernet: str | None = None
    choices: tuple[int, ...] = CANDIDATES
    population: int = 50
    generations: int = 20
    parents: int = 10
    mutation: float = 0.1
    seed: int = 0
    batches: int = 10

    def __post_init__(self) -> None:
        check("over", self.over, one_of(*OVER))
        check("population", self.population, integer(2, 100_000))
        check("generations", self.generations, integer(1, 100_000))
        check("parents", self.parents, integer(1, self.population))
        check("mutation", self.mutation, number(0, 1))
        check("seed", self.seed, integer(0, 2**31 - 1))
        check("batches", self.batches, integer(1, 1_000_000))
        what = "different powers of two in [2, 512]"
        check("choices", self.choices, (what, _are_choices))
        if not isinstance(self.network.codewords, int):
            raise SparseBNNError(
                "Expected one number of codewords for all layers, got "
                f"{dict(self.network.codewords)!r:.80}."
            )
        if self.over == "groups" and "groups" in self.network.model_options:
            raise SparseBNNError(
                "Expected no `groups`, which are searched, got "
                f"{self.network.model_options['groups']!r:.60}. Leave them out."
            )

    def of_supernet(self) -> RunConfig:
        """The run whose weights candidates share; a part of its training images is held out.

        Raises:
            SparseBNNError: `supernet` is no run, or not one to search in.
        """
        if self.supernet is not None:
            config = RunConfig.load(self.supernet_folder().settings)
            return self._checked(config)
        network = self.network
        holdout = network.holdout or VALIDATION
        if self.over == "codewords":
            return dataclasses.replace(
                network, method="one_bit", codewords=512, options={}, holdout=holdout
            )
        options = {**network.model_options, "groups": SEARCHED}
        return dataclasses.replace(network, model_options=options, holdout=holdout)

    def supernet_folder(self) -> RunFolder:
        """The folder of the run `supernet`.

        Raises:
            SparseBNNError: there is no finished run.
        """
        folder = RunFolder(str(self.supernet))
        if not folder.settings.exists() or not folder.model.exists():
            raise SparseBNNError(
                f"Expected a finished run of sparsebnn train, found none ({self.supernet})."
            )
        return folder

    def _checked(self, config: RunConfig) -> RunConfig:
        if config.holdout is None:
            raise SparseBNNError(
                f"Expected a run with --holdout, whose images compare candidates, got one that "
                f"was tested on the test split ({self.supernet})."
            )
        if self.over == "groups" and config.model_options.get("groups") != SEARCHED:
            raise SparseBNNError(
                f"Expected a run with --set groups={SEARCHED}, got another ({self.supernet})."
            )
        return config

    def of_winner(self, options: Mapping[str, int]) -> RunConfig:
        """The run that trains what was found from scratch."""
        if self.over == "codewords":
            return dataclasses.replace(self.network, codewords=dict(options))
        groups = {**self.network.model_options, "groups": list(options.values())}
        return dataclasses.replace(self.network, model_options=groups)

    def to_dict(self) -> dict[str, Any]:
        """As `search.json` has it."""
        return {
            **dataclasses.asdict(self),
            "version": 1,
            "network": self.network.to_dict(),
            "budget": str(self.budget),
            "choices": list(self.choices),
        }

    def check_is_of(self, path: Path) -> None:
        """Refuses to go on with another search.

        Raises:
            SparseBNNError: `path`, a `search.json`, has other settings.
        """
        stored, mine = read_json(path), self.to_dict()
        free = dict.fromkeys(FREE)
        for settings in (stored, mine):
            network = settings.get("network")
            settings["network"] = {**network, **free} if isinstance(network, dict) else network
        for key in {**mine, **stored}:
            if mine.get(key) != stored.get(key):
                raise SparseBNNError(
                    f"Expected the settings of the search in {path.parent}, got another "
                    f"`{key}`. Choose another folder, or the same settings."
                )
