"""The tables of docs/results.md, from the recorded runs; and its figures."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path

from docs.generate import regimes
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
SELECTING = ("learned", "learned_scale_0_2_frozen", "facility_location", "frequent")
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


def interval(difference: Difference) -> str:
    mean = f"{100 * difference.mean:+.2f} points"
    if difference.half_width is None:
        return mean
    low, high = (100 * (difference.mean + sign * difference.half_width) for sign in (-1, 1))
    return f"{mean} [{low:+.2f}, {high:+.2f}]"


def over_seeds(row: Row, baseline: str) -> str:
    difference = row.differences[baseline]
    return f"{interval(difference)}, {difference.seeds} seed{'s' * (difference.seeds > 1)}"


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
        return f"{interval(d)}, one seed: open"
    return f"{interval(d)}, {d.seeds} pairs: {yes if d.mean > d.half_width else no}"


def aims() -> str:
    """The aims on Fashion-MNIST, and what came out."""
    comparison = comparison_of("fashion_mnist")
    lines = ["| aim | found |", "| --- | --- |"]

    def line(first: str, second: str, n: int, least: int = 1, why: str = "") -> None:
        pairs = pairs_of(comparison, first, second, n) if first != second else []
        if len(pairs) >= least:
            found = verdict(pairs, "reached", "not reached")
            lines.append(f"| `{first}` beats `{second}`{why}, n = {n} | {found} |")

    late = ("random_late", "learned_late", "facility_location_late", "facility_location_at_0_6")
    for n in (16, 32):
        for rival in ("random", "snn_refined"):
            for method in SELECTING:
                line(method, rival, n)
        line("facility_location", "random_warm", n, why=": the choice itself helps")
        for method in ("facility_location_late", "incremental_late"):
            for rival in late:
                line(method, rival, n, least=2)
    for row in comparison.rows:
        if row.codewords == 64 and "one_bit" in row.differences:
            d = row.differences["one_bit"]
            low = None if d.half_width is None else 100 * (d.mean - d.half_width)
            outcome = "open" if low is None else "reached" if low > -0.5 else "not shown"
            found = f"{over_seeds(row, 'one_bit')}: {outcome}"
            lines.append(f"| `{row.variant}`, n = 64, within 0.5 of 1-bit | {found} |")
    return "\n".join(lines)


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


def not_made() -> str:
    """For each matrix, how many of its runs are recorded, and which are not."""
    lines = []
    matrices = [name for names in MATRICES.values() for name in names]
    matrices += [f"{name}.json" for name in SIDE_TABLES]
    for name in [*matrices, *regimes.matrices()]:
        path = RECORDS / name
        matrix = Matrix.load(path)
        found = states(matrix, path.parent, path.parent / "runs")
        left: dict[str, list[int]] = {}
        for run in matrix.runs:
            if found[run.name] != "finished":
                key = f"`{run.variant}` n = {run.config.codewords}"
                left.setdefault(key, []).append(run.config.seed)
        done = sum(state == "finished" for state in found.values())
        line = f"- `{name}`: {done} of {len(matrix.runs)} runs are made."
        if left:
            missing = "; ".join(
                f"{k} (seeds {', '.join(map(str, v))})" for k, v in left.items()
            )
            line += f" Not made, for want of time: {missing}."
        lines.append(line)
    return "\n".join(lines)


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
    "aims": aims,
    "pooled": pooled,
    **{name: functools.partial(main_table, name) for name in MATRICES},
    **{name: functools.partial(side_table, name) for name in SIDE_TABLES},
    "codeword_usage": usage,
    "not_made": not_made,
}


def draw(images: Path) -> None:
    """The figures of docs/results.md."""
    from keras_sparsebnn.analysis.plots import codeword_usage
    from keras_sparsebnn.experiments import figures

    for dataset in MATRICES:
        figures.comparison([main_comparison(dataset)], images / f"results_{dataset}.png")
    figures.comparison([side_comparison("late_choice")], images / "results_late_choice.png")
    data = json.loads((RECORDS / "codeword_usage.json").read_text("utf-8"))
    models = {"before training": data["untrained"], "trained, 1-bit": data["trained"]}
    codeword_usage(models, images / "codeword_frequencies.png")
