"""`search`: one search in one folder, which goes on where it was cut off."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_sparsebnn import data
from keras_sparsebnn._files import locked, replaced, write_json
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments.executor import Executor, Message, Order, carry_out
from keras_sparsebnn.experiments.local_executor import LocalExecutor
from keras_sparsebnn.experiments.matrix import Matrix, Run
from keras_sparsebnn.experiments.provenance import provenance
from keras_sparsebnn.experiments.runner import run_matrix
from keras_sparsebnn.saved_models import load_model
from keras_sparsebnn.search.evolution import Candidate, Genes, evolve, front, least_cost
from keras_sparsebnn.search.folder import SearchFolder
from keras_sparsebnn.search.orders import EvaluationOrder, known_candidates
from keras_sparsebnn.search.settings import SearchConfig
from keras_sparsebnn.search.supernet import Supernet, export
from keras_sparsebnn.training.run.folder import RunFolder
from keras_sparsebnn.training.run.interruption import TrainingInterruptedError
from keras_sparsebnn.training.run.network import named_network
from keras_sparsebnn.transforms.batch_norm import reestimate_batch_norm

__all__ = ["search"]

_LEAST = 8
"""Candidates that are worth a worker's start."""


def search(
    config: SearchConfig,
    out: str | Path,
    *,
    executor: Callable[[], Executor] = LocalExecutor,
    report: Callable[[str], None] = lambda line: None,
    progress: Callable[[int], None] = lambda candidates: None,
    download: bool = False,
) -> dict[str, Any]:
    """Trains a supernet, lets candidates evolve in it, and exports the best.

    Everything goes into one folder, see `SearchFolder`. A search that was stopped or killed
    goes on: the supernet from its checkpoint, the evolution from the records of its
    candidates. With the same settings its outcome is the same (on one machine; measured
    latencies aside, which are not measured again).

    Args:
        config: what to search.
        out: the folder.
        executor: makes what executes training and evaluation, once for each. Where latency is
            measured, one worker of it at a time.
        download: let TFDS fetch a dataset that is not there.
        report: gets a line about each generation.
        progress: gets numbers of candidates that were evaluated, or were known.

    Returns:
        What `result.json` holds.

    Raises:
        SparseBNNError: another process or search works in the folder, the budget is under the
            cheapest candidate, a worker failed, ...: one line.
        TrainingInterruptedError: SIGINT or SIGTERM came.
    """
    folder = SearchFolder(out)
    with locked(folder.path):
        base = config.of_supernet()
        dataset = data.load(base.dataset, **base.data_options, download=download)
        supernet = Supernet(named_network(base, dataset), config.over, config.choices)
        kind = config.budget.kind
        cost = None if kind == "latency_ms" else functools.partial(supernet.costs, kind=kind)
        if cost is not None:
            config.budget.check(least_cost(supernet.space, cost))
        folder.claim(config)
        run = (
            config.supernet_folder()
            if config.supernet is not None
            else _trained(Run("supernet", base), folder, executor(), report)
        )
        evaluate = _Evaluation(config, folder, run.path, executor(), progress)
        with evaluate:
            found = evolve(
                evaluate,
                supernet.space,
                config.budget.limit,
                cost=cost,
                population=config.population,
                generations=config.generations,
                parents=config.parents,
                mutation=config.mutation,
                seed=config.seed,
                report=_Reporter(config, report),
            )
        if found[0].score is None:
            raise SparseBNNError(
                f"Expected candidates within {config.budget}, found none: the cheapest of "
                f"{len(found)} took {min(c.cost for c in found):.6g}."
            )
        return _finished(config, folder, supernet, found, run, dataset)


def _trained(
    run: Run,
    folder: SearchFolder,
    executor: Executor,
    report: Callable[[str], None],
) -> RunFolder:
    """The finished run of the supernet."""
    runs_dir = folder.supernet / "runs"
    outcome = run_matrix(
        Matrix((run,)),
        folder.supernet,
        runs_dir=runs_dir,
        data_dir=run.config.data_dir,
        executor=executor,
        report=report,
    )
    if outcome.signal is not None:
        raise _stopped(outcome.signal)
    for reason in outcome.failed.values():
        raise SparseBNNError(reason)
    return RunFolder(runs_dir / run.name)


def _stopped(number: int) -> TrainingInterruptedError:
    return TrainingInterruptedError("Stopped. Run the same command to go on.", number)


class _Evaluation:
    """Has candidates evaluated that have no record yet."""

    def __init__(
        self,
        config: SearchConfig,
        folder: SearchFolder,
        run: Path,
        executor: Executor,
        progress: Callable[[int], None],
    ) -> None:
        self._config, self._folder, self._run = config, folder, run
        self._executor = executor
        self._progress = progress
        self._orders = 0

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._executor.close()

    def __call__(self, many: Sequence[Genes]) -> list[Candidate]:
        path = self._folder.candidates
        known = known_candidates(path)
        missing = [genes for genes in many if genes not in known]
        self._progress(len(many) - len(missing))
        if missing:
            self._evaluate(missing)
            known = known_candidates(path)
        lost = [genes for genes in many if genes not in known]
        if lost:
            raise SparseBNNError(
                f"Expected records of all candidates in {path}, found none of {lost[0]}."
            )
        return [known[genes] for genes in many]

    def _evaluate(self, missing: Sequence[Genes]) -> None:
        # Workers beside each other would disturb a measured latency.
        measured = self._config.budget.kind == "latency_ms"
        slots = 1 if measured else self._executor.slots
        shares = min(slots, math.ceil(len(missing) / _LEAST))
        orders = [
            EvaluationOrder(
                f"candidates{self._orders + share}",
                self._folder.log(share),
                missing[share::shares],
                self._config,
                self._run,
                self._folder.candidates,
            )
            for share in range(shares)
        ]
        self._orders += shares
        failed: list[str] = []

        def hear(order: Order, message: Message) -> None:
            if "candidates" in message:
                self._progress(1)
            elif "failed" in message:
                failed.append(str(message["failed"]))

        _, number = carry_out(orders, self._executor, hear)
        if number is not None:
            raise _stopped(number)
        if failed:
            raise SparseBNNError(failed[0])


class _Reporter:
    """A line a generation."""

    def __init__(self, config: SearchConfig, report: Callable[[str], None]) -> None:
        self._config, self._report = config, report
        self._best: Candidate | None = None

    def __call__(self, generation: int, found: Sequence[Candidate]) -> None:
        scored = [c for c in found if c.score is not None]
        known = [self._best] if self._best is not None else []
        self._best = max(
            [*known, *scored], key=lambda c: (c.score or 0.0, -c.cost), default=None
        )
        best = "none within the budget"
        if self._best is not None:
            unit = self._config.budget.kind
            best = f"best {self._best.score:.4f} at {self._best.cost:.6g} {unit}"
        self._report(f"generation {generation}/{self._config.generations}: {best}")


def _finished(
    config: SearchConfig,
    folder: SearchFolder,
    supernet: Supernet,
    found: Sequence[Candidate],
    run: RunFolder,
    dataset: data.Dataset,
) -> dict[str, Any]:
    """Writes the winner and the result."""
    best = found[0]
    options = supernet.options(best.genes)
    winner = export(load_model(run.model), options, config.over)
    base = config.of_supernet()
    batches = dataset.train(0, base.seed, base.batch_size)
    reestimate_batch_norm(winner, batches, steps=config.batches)
    with replaced(folder.model) as temporary:
        winner.save(temporary)
    config.of_winner(options).save(folder.winner)
    result = {
        "version": 1,
        "config": {**config.to_dict(), "supernet": config.supernet},
        "environment": provenance(),
        "best": {**dataclasses.asdict(best), "choices": options},
        "front": [dataclasses.asdict(candidate) for candidate in front(found)],
        "evaluated": len(found),
    }
    write_json(folder.result, result)
    return result
