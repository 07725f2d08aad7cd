"""Candidates evaluated elsewhere: what a worker is told, and what it does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_sparsebnn._rules import is_int, is_number
from keras_sparsebnn.experiments import records
from keras_sparsebnn.search.budget import Budget
from keras_sparsebnn.search.evolution import Candidate, Genes
from keras_sparsebnn.search.settings import SearchConfig
from keras_sparsebnn.training.run.folder import RunFolder
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["EvaluationOrder", "carry_out_evaluation", "known_candidates"]


@dataclasses.dataclass(frozen=True)
class EvaluationOrder:
    """Some candidates to evaluate; each gets a record as soon as it is.

    Attributes:
        name: of the order.
        log: what the worker writes to stderr.
        genes: of the candidates.
        config: of the search.
        run: the folder of the trained supernet.
        records: gets a line for each candidate.
    """

    name: str
    log: Path
    genes: Sequence[Genes]
    config: SearchConfig
    run: Path
    records: Path

    def to_dict(self) -> dict[str, Any]:
        """As JSON data, with absolute paths."""
        return {
            "task": "evaluate",
            "genes": [list(genes) for genes in self.genes],
            "over": self.config.over,
            "choices": list(self.config.choices),
            "budget": str(self.config.budget),
            "batches": self.config.batches,
            "run": str(self.run.resolve()),
            "records": str(self.records.resolve()),
            "data_dir": self.config.network.data_dir,
        }


def carry_out_evaluation(order: Mapping[str, Any], say: Callable[[int], None]) -> int:
    """Evaluates candidates, in a worker.

    Args:
        order: what `EvaluationOrder.to_dict` gives.
        say: called with the number of candidates done, after each.

    Returns:
        How many there were.
    """
    from keras_sparsebnn import data
    from keras_sparsebnn._keras import keras, tf
    from keras_sparsebnn.saved_models import load_model
    from keras_sparsebnn.search.supernet import Evaluator, Supernet

    folder = RunFolder(order["run"])
    config = RunConfig.load(folder.settings)
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    where = {**config.data_options, "data_dir": order["data_dir"]}
    evaluate = Evaluator(
        Supernet(load_model(folder.model), order["over"], order["choices"]),
        data.load(config.dataset, **where),
        Budget.parse(order["budget"]),
        batch_size=config.batch_size,
        batches=order["batches"],
        seed=config.seed,
    )
    for count, genes in enumerate(order["genes"], 1):
        candidate = evaluate(tuple(genes))
        records.append(Path(order["records"]), dataclasses.asdict(candidate))
        say(count)
    return len(order["genes"])


def known_candidates(path: Path) -> dict[Genes, Candidate]:
    """All candidates that have a record; damaged ones are made again."""
    if not path.exists():
        return {}
    return {candidate.genes: candidate for candidate in _candidates(path)}


def _candidates(path: Path) -> Iterator[Candidate]:
    for _, record in records.read(path):
        genes, cost, score = ((record or {}).get(key) for key in ("genes", "cost", "score"))
        if (
            isinstance(genes, list)
            and all(map(is_int, genes))
            and is_number(cost)
            and (score is None or is_number(score))
        ):
            yield Candidate(tuple(genes), float(cost), score)
