"""The recorded runs in benchmarks/accuracy/."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence

from docs.generate.pages import ROOT, commit
from keras_sparsebnn.experiments import Result, read_results
from keras_sparsebnn.experiments.comparison import Comparison, compare
from keras_sparsebnn.experiments.tables import as_markdown, budget, power_note

RECORDS = ROOT / "benchmarks" / "accuracy"


@functools.cache
def recorded(folder: str = "") -> Sequence[Result]:
    """Every recorded run of benchmarks/accuracy/FOLDER.

    Raises:
        SystemExit: a damaged record, by name.
    """
    results, left_out = read_results(RECORDS / folder)
    if left_out:
        raise SystemExit("\n".join(left_out))
    return results


def comparison_of(
    dataset: str, baselines: Sequence[str] | None = None, folder: str = ""
) -> Comparison:
    """All runs of a data set, compared; with those of the baselines that were run."""
    results = [result for result in recorded(folder) if result.dataset == dataset]
    there = {result.variant for result in results}
    chosen = None if baselines is None else [name for name in baselines if name in there]
    (found,) = compare(results, baselines=chosen)
    return found


def variants_of(matrix: str) -> list[str]:
    """The names of a matrix' variants, in its order."""
    data = json.loads((RECORDS / matrix).read_text("utf-8"))
    return [variant["name"] for variant in data["variants"]]


def provenance(comparison: Comparison) -> str:
    """Machine, versions, dates and commits of the runs."""

    def each(*keys: str) -> str:
        found = set()
        for environment in comparison.environments:
            value = environment
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            found.add(commit(str(value)) if key == "commit" else str(value))
        return ", ".join(sorted(found)).replace(", commit ", ", ")

    return (
        f"Machine: {each('processor')}, {each('cpus')} cores, one thread a run. "
        f"TensorFlow {each('versions', 'tensorflow')}, Python {each('python')}. "
        f"Date: {each('date')}. {each('commit').capitalize()}."
    )


def whole_table(found: Comparison) -> str:
    """All rows of a comparison, the budget, the provenance and what the seeds can show."""
    hours = sum(row.cpu_seconds * len(row.accuracies) for row in found.rows) / 3600
    return "\n".join(
        [
            f"Network `{found.network}`; {budget(found.settings)}; {hours:.1f} CPU hours.",
            provenance(found),
            "",
            as_markdown(found, notes=False),
            "",
            *power_note(found),
        ]
    )
