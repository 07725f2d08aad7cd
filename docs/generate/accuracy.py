"""The recorded runs in benchmarks/accuracy/, and the short table made from them."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence

from docs.generate.pages import ROOT, Tables, commit, markdown
from keras_sparsebnn.experiments import Result, read_results
from keras_sparsebnn.experiments.comparison import Comparison, Row, compare
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
            "Mean ± standard deviation over seeds. Differences are paired by seed, with 95 % t "
            'intervals, not corrected for multiple comparisons; bold excludes 0. "Seeds for '
            '0.5": how many would notice a true difference of 0.5 points to the first baseline '
            "(power 80 %).",
            *power_note(found),
        ]
    )


def _points(row: Row, baseline: str) -> str:
    difference = row.differences.get(baseline)
    if difference is None:
        return "-"
    mean = f"{100 * difference.mean:+.2f}"
    if difference.half_width is None:
        return mean
    low, high = (100 * (difference.mean + sign * difference.half_width) for sign in (-1, 1))
    return f"{mean} [{low:+.2f}, {high:+.2f}]"


def _short(
    comparison: Comparison, labels: Mapping[str, str], sizes: Sequence[int], baseline: str
) -> str:
    """A table of a few rows; numbers as in docs/results.md."""
    rows = {(row.codewords, row.variant): row for row in comparison.rows}
    lines = []
    for n in sizes:
        for variant, label in labels.items():
            row = rows.get((n, variant))
            if row is None:
                continue
            spread = "" if row.deviation is None else f" ± {100 * row.deviation:.2f}"
            lines.append(
                [
                    label,
                    str(n),
                    f"{row.bits_per_weight:.2f}",
                    f"{100 * row.mean:.2f}{spread}",
                    str(len(row.accuracies)),
                    _points(row, baseline),
                ]
            )
    header = ["binary 3x3 kernels", "n", "bits/weight", "test accuracy [%]", "seeds"]
    return markdown([*header, "minus random [points]"], lines)


def _about(comparison: Comparison, matrix: str) -> str:
    return (
        f"Fashion-MNIST, network `{comparison.network}`, {budget(comparison.settings)}. Mean ± "
        "standard deviation over seeds; differences are paired by seed, with 95 % intervals. "
        f"`sparsebnn experiment benchmarks/accuracy/{matrix}`. {provenance(comparison)}"
    )


def accuracy() -> str:
    """From scratch: 1 bit, chosen, learned and random codewords."""
    comparison = comparison_of("fashion_mnist", ["random"])
    labels = {
        "one_bit": "all 512, plain 1-bit (`ste_sign`)",
        "facility_location": "n chosen by facility location (`FacilityLocation`)",
        "learned": 'n learned, free logits (`SparseKernel(logits="free")`)',
        "random": "n at random (`FixedSubset`)",
    }
    table = _short(comparison, labels, (512, 32, 16), "random")
    return f"{table}\n\n{_about(comparison, 'fashion_mnist.json')}"


TABLES: Tables = {"accuracy": accuracy}
