"""Results of a dataset and network: each variant against baselines with the same seeds."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments.results import Result
from keras_sparsebnn.experiments.statistics import (
    Difference,
    detectable_difference,
    paired_difference,
    seeds_needed,
)
from keras_sparsebnn.training.settings.config import FREE, RunConfig

__all__ = ["BASELINES", "TARGET_DIFFERENCE", "Comparison", "Row", "compare"]

BASELINES = ("random", "one_bit")
TARGET_DIFFERENCE = 0.005
"""Half a percentage point: the true difference that the power estimate is for."""

# Settings in which the runs of one row may differ.
_FREE = ("seed", *FREE)
# Settings in which rows differ; all others are the budget.
_OWN = ("method", "codewords", "options")


@dataclasses.dataclass(frozen=True)
class Row:
    """One variant at one n.

    Attributes:
        variant: its name. `method`, `codewords` and `bits_per_weight` are those of `Result`.
        accuracies: seed -> test accuracy.
        mean: of the accuracies.
        deviation: sample standard deviation of the accuracies; None with one seed.
        differences: baseline -> this row minus the baseline, over their common seeds; missing
            where there are none.
        cpu_seconds: mean over the runs.
        own_settings: those in which its budget differs from the other rows'.
    """

    variant: str
    method: str
    codewords: int
    bits_per_weight: float
    accuracies: Mapping[int, float]
    mean: float
    deviation: float | None
    differences: Mapping[str, Difference]
    cpu_seconds: float
    own_settings: Mapping[str, Any]

    def seeds_needed(self, baseline: str) -> int | None:
        """How many seeds detect `TARGET_DIFFERENCE`; None if unknown or over 10,000."""
        difference = self.differences.get(baseline)
        if difference is None or difference.deviation is None:
            return None
        return seeds_needed(TARGET_DIFFERENCE, difference.deviation)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """All rows of one dataset and network.

    Attributes:
        dataset: its name.
        network: the model's name.
        baselines: the variants that rows are compared with.
        settings: of a run, common to all rows except those with `own_settings`.
        environments: of the runs, without repetition.
        rows: sorted by n, then by variant.
    """

    dataset: str
    network: str
    baselines: tuple[str, ...]
    settings: Mapping[str, Any]
    environments: tuple[Mapping[str, Any], ...]
    rows: tuple[Row, ...]

    def pooled_deviation(self, baseline: str) -> float | None:
        """The standard deviation of paired differences, pooled over rows; None if unknown."""
        known = [
            row.differences[baseline]
            for row in self.rows
            if baseline in row.differences and row.differences[baseline].deviation is not None
        ]
        degrees = sum(d.seeds - 1 for d in known)
        if not degrees:
            return None
        squares = sum((d.seeds - 1) * (d.deviation or 0.0) ** 2 for d in known)
        return float((squares / degrees) ** 0.5)

    def power(self, baseline: str) -> tuple[int | None, Mapping[int, float]]:
        """How many seeds detect `TARGET_DIFFERENCE`, and what 3, 5 and 10 seeds detect.

        Differences between 0 and 1; each is detected with a chance of 80 %.
        """
        deviation = self.pooled_deviation(baseline)
        if deviation is None:
            return None, {}
        detected = {seeds: detectable_difference(deviation, seeds) for seeds in (3, 5, 10)}
        return seeds_needed(TARGET_DIFFERENCE, deviation), detected

    def to_dict(self) -> dict[str, Any]:
        """For programs: accuracies between 0 and 1."""
        data = dataclasses.asdict(self)
        for row, plain in zip(self.rows, data["rows"], strict=True):
            plain["seeds_to_tell_0.5_points"] = {
                name: row.seeds_needed(name) for name in row.differences
            }
        return data


def _settings(config: Mapping[str, Any], *without: str) -> dict[str, Any]:
    # Through RunConfig, because files of earlier versions lack newer settings.
    whole = RunConfig.from_dict(config, "config of a result").to_dict()
    return {k: v for k, v in whole.items() if k not in without}


def compare(
    results: Sequence[Result], *, baselines: Sequence[str] | None = None
) -> list[Comparison]:
    """Groups results by dataset and network and compares within each.

    Args:
        results: of finished runs.
        baselines: variants; if None, those of `BASELINES` that were run. A row is compared
            with the baseline at the same n, or at the only n that the baseline was run with.

    Raises:
        SparseBNNError: settings that are not valid; runs of one variant, n and seed twice or
            with different settings; a baseline that was not run.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.dataset, result.network), []).append(result)
    variants = {result.variant for result in results}
    missing = [name for name in baselines or () if name not in variants]
    if missing:
        raise SparseBNNError(
            f"Expected a baseline among {', '.join(sorted(variants))}, got {missing[0]}."
        )
    names = [name for name in (baselines or BASELINES) if name in variants]
    return [_compare(group, names) for group in groups.values()]


def _compare(results: Sequence[Result], baselines: Sequence[str]) -> Comparison:
    cells: dict[tuple[str, int], dict[int, Result]] = {}
    for result in results:
        runs = cells.setdefault((result.variant, result.codewords), {})
        first = next(iter(runs.values()), result)
        if result.seed in runs or _settings(first.config, *_FREE) != _settings(
            result.config, *_FREE
        ):
            raise SparseBNNError(
                f"Expected runs of {result.variant}, n = {result.codewords}, to differ in "
                f"their seeds only, got seed {result.seed} twice or with other settings. Keep "
                "results of different matrices in different folders."
            )
        runs[result.seed] = result
    budgets = [
        _settings(next(iter(runs.values())).config, *_FREE, *_OWN) for runs in cells.values()
    ]
    common = max(budgets, key=budgets.count)
    rows = tuple(
        _row(cells, key, baselines, common) for key in sorted(cells, key=lambda k: (k[1], k[0]))
    )
    environments = {str(result.environment): result.environment for result in results}
    return Comparison(
        dataset=results[0].dataset,
        network=results[0].network,
        baselines=tuple(baselines),
        settings=common,
        environments=tuple(environments.values()),
        rows=rows,
    )


def _row(
    cells: Mapping[tuple[str, int], Mapping[int, Result]],
    key: tuple[str, int],
    baselines: Sequence[str],
    common: Mapping[str, Any],
) -> Row:
    variant, codewords = key
    runs = cells[key]
    accuracies = {seed: runs[seed].test_accuracy for seed in sorted(runs)}
    differences = {}
    for name in baselines:
        at = {n: cell for (other, n), cell in cells.items() if other == name}
        cell = at.get(codewords) or (next(iter(at.values())) if len(at) == 1 else None)
        shared = sorted(set(runs) & set(cell or ()))
        if name != variant and cell is not None and shared:
            differences[name] = paired_difference(
                [accuracies[seed] for seed in shared],
                [cell[seed].test_accuracy for seed in shared],
            )
    first = next(iter(runs.values()))
    own = _settings(first.config, *_FREE, *_OWN)
    values = list(accuracies.values())
    return Row(
        variant=variant,
        method=first.method,
        codewords=codewords,
        bits_per_weight=first.bits_per_weight,
        accuracies=accuracies,
        mean=statistics.fmean(values),
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        differences=differences,
        cpu_seconds=statistics.fmean(run.cpu_seconds for run in runs.values()),
        own_settings={k: v for k, v in own.items() if common.get(k) != v},
    )
