"""The tables and figures of docs/two-epochs.md: every method in the first, short budget."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path

from docs.generate.accuracy import RECORDS, comparison_of, variants_of, whole_table
from docs.generate.pages import Tables, commit
from keras_sparsebnn.experiments import Matrix
from keras_sparsebnn.experiments.comparison import Comparison, Row
from keras_sparsebnn.experiments.runner import states
from keras_sparsebnn.experiments.statistics import Difference, paired_difference
from keras_sparsebnn.experiments.tables import as_markdown

# Data set -> the matrices whose rows are its table, the first one's order.
MATRICES = {
    "fashion_mnist": ("fashion_mnist.json", "more_seeds.json"),
    "cifar10": ("cifar10.json",),
}
# Matrices that share Fashion-MNIST's records -> the baselines of their tables.
SIDE_TABLES = {
    "late_choice": ("random_late", "random", "one_bit"),
    "ablations": ("random",),
}
SAME = "no significant difference"
Pairs = list[tuple[float, float]]


def shown(comparison: Comparison, variants: Sequence[str]) -> Comparison:
    """These rows only, by n and in this order."""
    rows = (row for row in comparison.rows if row.variant in variants)
    ordered = sorted(rows, key=lambda row: (row.codewords, variants.index(row.variant)))
    return dataclasses.replace(comparison, rows=tuple(ordered))


def main_comparison(dataset: str) -> Comparison:
    """The rows of a data set's own matrix."""
    return shown(comparison_of(dataset), variants_of(MATRICES[dataset][0]))


def side_comparison(matrix: str) -> Comparison:
    """A matrix' rows and their baselines', at its values of n and at 512."""
    baselines = SIDE_TABLES[matrix]
    variants = dict.fromkeys([*baselines, *variants_of(f"{matrix}.json")])
    found = shown(comparison_of("fashion_mnist", baselines), list(variants))
    sizes = {run.config.codewords for run in Matrix.load(RECORDS / f"{matrix}.json").runs}
    rows = tuple(row for row in found.rows if row.codewords in sizes | {512})
    return dataclasses.replace(found, rows=rows)


# What was found, said by the numbers.


def with_unit(difference: Difference) -> str:
    return difference.in_points().replace(" [", " points [") + (
        " points" if difference.half_width is None else ""
    )


def over_seeds(row: Row, baseline: str) -> str:
    difference = row.differences[baseline]
    return f"{with_unit(difference)}, {difference.seeds} seed{'s' * (difference.seeds > 1)}"


def verdicts() -> str:
    """A line for each data set and n: what differs significantly from a random subset."""
    lines = []
    for comparison in map(main_comparison, MATRICES):
        for n in sorted({row.codewords for row in comparison.rows} - {512}):
            groups: dict[str, list[str]] = {"better": [], "worse": [], SAME: []}
            for row in comparison.rows:
                if row.codewords == n and "random" in row.differences:
                    d = row.differences["random"]
                    kind = "better" if d.mean > 0 else "worse"
                    kind = kind if d.separated else SAME
                    groups[kind].append(f"`{row.variant}` ({over_seeds(row, 'random')})")
            told = "; ".join(f"**{k}**: {', '.join(v)}" for k, v in groups.items() if v)
            if told:
                where = f"{comparison.dataset}, n = {n}, against a random subset"
                lines.append(f"- {where}: {told}.")
    return "\n".join(lines)


def pairs_of(comparison: Comparison, first: str, second: str, n: int) -> Pairs:
    """Accuracies of the same seeds."""
    rows = {row.variant: row for row in comparison.rows if row.codewords == n}
    if first not in rows or second not in rows:
        return []
    a, b = rows[first].accuracies, rows[second].accuracies
    return [(a[seed], b[seed]) for seed in sorted(set(a) & set(b))]


def verdict(pairs: Pairs, yes: str, no: str) -> str:
    d = paired_difference(*zip(*pairs, strict=True))
    if d.half_width is None:
        return f"{with_unit(d)}, one seed: open"
    return f"{with_unit(d)}, {d.seeds} pairs: {yes if d.mean > d.half_width else no}"


def pooled() -> str:
    """Differences over both data sets, n = 16 and 32 together."""
    lines = ["| difference | found |", "| --- | --- |"]
    cells = [(comparison_of(dataset), n) for dataset in MATRICES for n in (16, 32)]
    for method in ("learned", "facility_location", "frequent"):
        for rival in ("random", "snn_refined", "learned"):
            pairs = [pair for c, n in cells for pair in pairs_of(c, method, rival, n)]
            if method != rival and len(pairs) > 1:
                found = verdict(pairs, "significant", "not significant")
                lines.append(f"| `{method}` above `{rival}` | {found} |")
    return "\n".join(lines)


# The tables of all rows.


def main_table(dataset: str) -> str:
    return whole_table(main_comparison(dataset))


def side_table(matrix: str) -> str:
    return as_markdown(side_comparison(matrix), notes=False)


def made() -> str:
    """For each matrix, how many of its runs are recorded."""
    lines = []
    for name in [*MATRICES["fashion_mnist"], *MATRICES["cifar10"], *SIDE_TABLES]:
        path = RECORDS / f"{name.removesuffix('.json')}.json"
        matrix = Matrix.load(path)
        found = states(matrix, path.parent, path.parent / "runs")
        done = sum(state == "finished" for state in found.values())
        lines.append(f"`{path.name}` {done} of {len(matrix.runs)}")
    return f"Runs made: {', '.join(lines)}."


def usage() -> str:
    """How often the two most frequent codewords of each layer come, before and after."""
    data = json.loads((RECORDS / "codeword_usage.json").read_text("utf-8"))
    shares = []
    for layer, trained in data["trained"].items():
        two, before = (
            100 * sum(sorted(counts)[-2:]) / sum(counts)
            for counts in (trained, data["untrained"][layer])
        )
        shares.append(f"`{layer}` {two:.1f} % (before training {before:.1f} %)")
    config, environment = data["config"], data["environment"]
    return (
        f"Share of the two most frequent codewords: {'; '.join(shares)}.\n\n"
        f"Network `{config['model']}`, {config['dataset']}, {config['epochs']} epochs, "
        f"seed {config['seed']}, test accuracy {100 * data['test_accuracy']:.1f} %. "
        f"{environment['date']}, {environment['processor']}, {commit(environment['commit'])}."
    )


TABLES: Tables = {
    "verdicts": verdicts,
    "pooled": pooled,
    **{name: functools.partial(main_table, name) for name in MATRICES},
    **{name: functools.partial(side_table, name) for name in SIDE_TABLES},
    "codeword_usage": usage,
    "made": made,
}


def draw(images: Path) -> None:
    """The figures of docs/two-epochs.md."""
    from keras_sparsebnn.analysis.plots import codeword_usage
    from keras_sparsebnn.experiments import figures

    for dataset in MATRICES:
        figures.comparison([main_comparison(dataset)], images / f"results_{dataset}.png")
    figures.comparison([side_comparison("late_choice")], images / "results_late_choice.png")
    data = json.loads((RECORDS / "codeword_usage.json").read_text("utf-8"))
    models = {"before training": data["untrained"], "trained, 1-bit": data["trained"]}
    codeword_usage(models, images / "codeword_frequencies.png")
