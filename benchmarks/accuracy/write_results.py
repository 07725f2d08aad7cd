"""Writes docs/results.md and its pictures from the results beside this file.

    python benchmarks/accuracy/write_results.py [--check]

--check writes nothing and fails if the page is not what the results give.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from keras_sparsebnn.experiments import Matrix, detectable_difference, read_results
from keras_sparsebnn.experiments.comparison import Comparison, Row, compare
from keras_sparsebnn.experiments.runner import states
from keras_sparsebnn.experiments.statistics import paired_difference, seeds_needed
from keras_sparsebnn.experiments.tables import as_markdown, budget, power_note

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "results.md"
IMAGES = ROOT / "docs" / "images"
EARLIER = ROOT / "benchmarks" / "results" / "selection_accuracy-2026-11-21.json"

# Results folder -> (title, the matrices whose runs lie there)
EXPERIMENTS = {
    "fashion_mnist": ("Fashion-MNIST", ("fashion_mnist.json", "more_seeds.json")),
    "cifar10": ("CIFAR-10, short budget", ("cifar10.json",)),
}
# Matrices whose runs lie there, too -> (title, what they ask, baselines)
SIDE_TABLES = {
    "late_choice": (
        "Compressing a trained network",
        "80 % of the budget is plain 1-bit training; then codewords are chosen, and the rest "
        "goes on with them, as after `ksb.restrict(model, n)`. All else is as above.",
        ("random_late", "random", "one_bit"),
    ),
    "ablations": (
        "Ablations",
        "One setting of the selection at a time, n = 16, in the same network and budget; "
        "`benchmarks/accuracy/ablations.json` says what each name stands for.",
        ("random",),
    ),
}
SHARED = "fashion_mnist"
PICTURED = "late_choice"


def comparison_of(folder: str, baselines: tuple[str, ...] | None = None) -> Comparison | None:
    if not (HERE / folder).is_dir():
        return None
    results, left_out = read_results(HERE / folder)
    if left_out:
        raise SystemExit("\n".join(left_out))
    if not results:
        return None
    there = {result.variant for result in results}
    if baselines is not None:
        baselines = tuple(name for name in baselines if name in there)
    (found,) = compare(results, baselines=baselines)
    return found


def variants_of(matrix: str) -> list[str]:
    data = json.loads((HERE / matrix).read_text("utf-8"))
    return [variant["name"] for variant in data["variants"]]


def with_rows(comparison: Comparison, names: list[str]) -> Comparison:
    rows = (row for row in comparison.rows if row.variant in names)
    ordered = sorted(rows, key=lambda row: (row.codewords, names.index(row.variant)))
    return Comparison(**{**vars(comparison), "rows": tuple(ordered)})


# The verdict, said by the numbers.


def interval(row: Row, baseline: str) -> str:
    d = row.differences[baseline]
    seeds = f"{d.seeds} seed{'s' * (d.seeds > 1)}"
    if d.half_width is None:
        return f"{100 * d.mean:+.2f} points, {seeds}"
    low, high = 100 * (d.mean - d.half_width), 100 * (d.mean + d.half_width)
    return f"{100 * d.mean:+.2f} points [{low:+.2f}, {high:+.2f}], {seeds}"


def verdicts(comparison: Comparison) -> Iterator[str]:
    """One line a value of n: what was told apart from a random subset, and what was not."""
    for n in sorted({row.codewords for row in comparison.rows} - {512}):
        rows = [r for r in comparison.rows if r.codewords == n and "random" in r.differences]
        groups: dict[str, list[str]] = {"better": [], "worse": [], "not told apart": []}
        for row in rows:
            d = row.differences["random"]
            kind = "not told apart" if not d.separated else "better" if d.mean > 0 else "worse"
            groups[kind].append(f"`{row.variant}` ({interval(row, 'random')})")
        told = "; ".join(f"**{k}**: {', '.join(v)}" for k, v in groups.items() if v)
        if told:
            yield f"- {comparison.dataset}, n = {n}, against a random subset: {told}."


Pairs = list[tuple[float, float]]


def pairs_of(comparison: Comparison, first: str, second: str, n: int) -> Pairs:
    """Accuracies of the same seeds."""
    rows = {row.variant: row for row in comparison.rows if row.codewords == n}
    if first not in rows or second not in rows:
        return []
    a, b = rows[first].accuracies, rows[second].accuracies
    return [(a[seed], b[seed]) for seed in sorted(set(a) & set(b))]


def difference(pairs: Pairs, separated: str = "reached") -> str:
    if not pairs:
        return "not run"
    first, second = zip(*pairs, strict=True)
    d = paired_difference(first, second)
    if d.half_width is None:
        return f"{100 * d.mean:+.2f} points, one seed: open"
    low, high = 100 * (d.mean - d.half_width), 100 * (d.mean + d.half_width)
    verdict = separated if low > 0 else f"not {separated}"
    return f"{100 * d.mean:+.2f} points [{low:+.2f}, {high:+.2f}], {d.seeds} pairs: {verdict}"


def aims(comparison: Comparison) -> Iterator[str]:
    """The aims that were set before, and what came out."""
    selecting = ("learned", "learned_scale_0_2_frozen", "facility_location", "frequent")
    for n in (16, 32):
        for rival in ("random", "snn_refined"):
            for method in selecting:
                found = difference(pairs_of(comparison, method, rival, n))
                if found != "not run":
                    yield f"| `{method}` beats `{rival}`, n = {n} | {found} |"
        found = difference(pairs_of(comparison, "facility_location", "random_warm", n))
        if found != "not run":
            what = "`facility_location` beats `random_warm`: the choice itself helps"
            yield f"| {what}, n = {n} | {found} |"
        for method in ("facility_location_late", "incremental_late"):
            for rival in (
                "random_late",
                "learned_late",
                "facility_location_late",
                "facility_location_at_0_6",
            ):
                pairs = pairs_of(comparison, method, rival, n) if method != rival else []
                if len(pairs) > 1:
                    yield f"| `{method}` beats `{rival}`, n = {n} | {difference(pairs)} |"
    near = [r for r in comparison.rows if r.codewords == 64 and "one_bit" in r.differences]
    for row in near:
        d = row.differences["one_bit"]
        low = None if d.half_width is None else 100 * (d.mean - d.half_width)
        verdict = "open" if low is None else "reached" if low > -0.5 else "not shown"
        found = f"{interval(row, 'one_bit')}: {verdict}"
        yield f"| `{row.variant}`, n = 64, within 0.5 of 1-bit | {found} |"
    if not near:
        yield "| n = 64 within 0.5 of 1-bit | not run |"


def pooled() -> Iterator[str]:
    """The same over both data sets and n = 16 and 32; asked after the runs were made."""
    whole = [found for found in map(comparison_of, EXPERIMENTS) if found is not None]
    for method in ("learned", "facility_location", "frequent"):
        for rival in ("random", "snn_refined", "learned"):
            pairs = [p for c in whole for n in (16, 32) for p in pairs_of(c, method, rival, n)]
            if method != rival and len(pairs) > 1:
                yield f"| `{method}` above `{rival}` | {difference(pairs, 'told apart')} |"


# Sections.


def provenance_lines(comparison: Comparison) -> str:
    def each(*keys: str) -> str:
        found = set()
        for environment in comparison.environments:
            value = environment
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            found.add(str(value))
        return ", ".join(sorted(found))

    return (
        f"Machine: {each('processor')}, {each('cpus')} cores, one thread a run. "
        f"TensorFlow {each('versions', 'tensorflow')}, Python {each('python')}. "
        f"Date: {each('date')}. Commit: {each('commit')}."
    )


def missing(folder: str, matrix: str) -> str:
    found = states(Matrix.load(HERE / matrix), HERE / folder, HERE / "none")
    runs = Matrix.load(HERE / matrix).runs
    left: dict[str, list[int]] = {}
    for run in runs:
        if found[run.name] != "finished":
            key = f"`{run.variant}` n = {run.config.codewords}"
            left.setdefault(key, []).append(run.config.seed)
    done = sum(state == "finished" for state in found.values())
    text = f"`{matrix}`: {done} of {len(runs)} runs are made."
    if left:
        missing = "; ".join(f"{k} (seeds {', '.join(map(str, v))})" for k, v in left.items())
        text += f" Not made, for want of time: {missing}."
    return text


def experiment(folder: str) -> str:
    title, matrices = EXPERIMENTS[folder]
    whole = comparison_of(folder)
    if whole is None:
        return f"## {title}\n\nNo run yet.\n"
    shown = with_rows(whole, variants_of(matrices[0]))
    hours = sum(row.cpu_seconds * len(row.accuracies) for row in shown.rows) / 3600
    return "\n".join(
        [
            f"## {title}",
            "",
            f"Network `{shown.network}`; {budget(shown.settings)}; {hours:.1f} CPU hours.",
            provenance_lines(shown),
            "",
            as_markdown(shown, notes=False),
            "",
            "Mean ± standard deviation over seeds. Differences are paired by seed, with 95 % t "
            'intervals, not corrected for how many there are; bold leaves out 0. "Seeds for '
            '0.5": how many would notice a true difference of 0.5 points to the first baseline '
            "(power 80 %).",
            *power_note(shown),
            "",
            f"![accuracy and paired differences](images/results_{folder}.png)",
            "",
            "A row again, here that of `random` at n = 32; all rows without `--only`:",
            "",
            "```bash",
            f"sparsebnn experiment benchmarks/accuracy/{matrices[0]} --out {folder}/ \\",
            "    --data-dir DIR --only '*.random.n32.*'",
            f"sparsebnn experiment --table {folder}/",
            "```",
            "",
        ]
    )


def earlier_power() -> str:
    """What the three-seed runs that came before could have shown."""
    runs = json.loads(EARLIER.read_text("utf-8"))["runs"]
    cells: dict[tuple[str, int], dict[int, float]] = {}
    for run in runs:
        cell = cells.setdefault((run["method"], run["codewords"]), {})
        cell[run["seed"]] = run["test_accuracy"]
    squares = degrees = 0.0
    for (method, n), values in cells.items():
        base = cells.get(("random", n), {})
        seeds = sorted(set(values) & set(base))
        if method == "random" or len(seeds) < 2:
            continue
        d = paired_difference([values[s] for s in seeds], [base[s] for s in seeds])
        squares += (d.seeds - 1) * (d.deviation or 0.0) ** 2
        degrees += d.seeds - 1
    deviation = (squares / degrees) ** 0.5
    told = {s: 100 * detectable_difference(deviation, s) for s in (3, 5, 10)}
    return (
        "Estimated before these runs, from the earlier three-seed comparison (Fashion-MNIST, "
        f"5 epochs, [selection.md](selection.md)): paired differences deviated by "
        f"{100 * deviation:.2f} points. So "
        + ", ".join(f"{s} seeds notice {d:.2f} points" for s, d in told.items())
        + " (80 % of the time, level 5 %), and 0.5 points take "
        f"{seeds_needed(0.005, deviation)} seeds. Anything smaller cannot be seen "
        "here, whichever way it points."
    )


def side_comparison(matrix: str) -> Comparison | None:
    """The matrix's rows and their baselines', at its values of n and at 512."""
    _, _, baselines = SIDE_TABLES[matrix]
    names = variants_of(f"{matrix}.json")
    whole = comparison_of(SHARED, baselines)
    if not whole or not {row.variant for row in whole.rows} & (set(names) - set(baselines)):
        return None
    sizes = {run.config.codewords for run in Matrix.load(HERE / f"{matrix}.json").runs}
    shown = with_rows(whole, list(dict.fromkeys([*baselines, *names])))
    rows = tuple(row for row in shown.rows if row.codewords in sizes | {512})
    return Comparison(**{**vars(shown), "rows": rows})


def side_table(matrix: str) -> str:
    title, question, _ = SIDE_TABLES[matrix]
    text = [f"## {title}", "", question, ""]
    table = side_comparison(matrix)
    if table:
        text += [as_markdown(table, notes=False), ""]
        if matrix == PICTURED:
            text += [f"![accuracy and paired differences](images/results_{matrix}.png)", ""]
    return "\n".join([*text, missing(SHARED, f"{matrix}.json"), ""])


def usage() -> str:
    data = json.loads((HERE / "codeword_usage.json").read_text("utf-8"))
    shares = []
    for layer, trained in data["trained"].items():
        untrained = data["untrained"][layer]
        two, before = (
            100 * sum(sorted(counts)[-2:]) / sum(counts) for counts in (trained, untrained)
        )
        shares.append(f"`{layer}` {two:.1f} % (before training {before:.1f} %)")
    config = data["config"]
    return "\n".join(
        [
            "## Codeword frequencies of a trained 1-bit network",
            "",
            "The paper's first observation, from our own run: a plain 1-bit network uses some "
            "of the 512 codewords far more often than others. Share of the two most frequent "
            f"codewords: {'; '.join(shares)}.",
            "",
            "![codeword frequencies by rank, log-log](images/codeword_frequencies.png)",
            "",
            f"Network `{config['model']}`, {config['dataset']}, {config['epochs']} epochs, "
            f"seed {config['seed']}, test accuracy {100 * data['test_accuracy']:.1f} %. Thin "
            "lines are layers. They have 1,024 to 4,096 kernels, 2 to 8 a codeword, so even "
            "equally likely codewords would not come equally often: the network before "
            "training shows by how much. It is a short run; longer ones were not counted.",
            "",
            "```bash",
            "sparsebnn experiment benchmarks/accuracy/cifar10.json --out cifar10/ \\",
            "    --data-dir DIR --only '*.one_bit.*.seed0'",
            "python benchmarks/accuracy/codeword_usage.py \\",
            "    cifar10/runs/cifar10.small.one_bit.n512.seed0",
            "```",
            "",
        ]
    )


def conclusions() -> str:
    lines = []
    for folder in EXPERIMENTS:
        found = comparison_of(folder)
        if found is not None:
            lines += verdicts(with_rows(found, variants_of(EXPERIMENTS[folder][1][0])))
    fashion = comparison_of("fashion_mnist")
    table = ["| aim | found |", "| --- | --- |", *aims(fashion)] if fashion else []
    notes = (HERE / "findings.md").read_text("utf-8").strip()
    return "\n".join(
        [
            "## What was found",
            "",
            notes,
            "",
            "By the numbers (paired by seed, 95 % intervals):",
            "",
            *lines,
            "",
            "The aims, most of them set before any of these runs, on Fashion-MNIST:",
            "",
            *table,
            "",
            "All pairs together, of both data sets and n = 16 and 32. This question was asked "
            "afterwards, so take it as a hint for the next experiment:",
            "",
            "| difference | found |",
            "| --- | --- |",
            *pooled(),
            "",
        ]
    )


def not_shown() -> str:
    lines = [
        f"- {missing(folder, matrix)}"
        for folder, (_, matrices) in EXPERIMENTS.items()
        for matrix in matrices
    ]
    return "\n".join(
        [
            "## What was not shown, and why",
            "",
            *lines,
            "- Accuracy near the papers': a run here takes one to two minutes of one core, "
            "theirs take GPU days. All networks above are far from converged.",
            "- Wide networks (ResNet-18, VGG-small), where far more kernels share a codeword; "
            "two-step training; a teacher; augmentation: the trainer has them, comparisons "
            "with them were not run.",
            "- Any method tuned for these budgets: all use their defaults, with the exceptions "
            "that the matrices name. Another learning rate may rank them otherwise.",
            "- Intervals are for each comparison alone. Among many comparisons, one in twenty "
            "leaves out 0 by chance.",
            "",
        ]
    )


def page() -> str:
    head = f"""\
<!-- Written by benchmarks/accuracy/write_results.py from the results beside it. -->
# Results: which codewords, and does it matter?

All methods, one network, one budget, several seeds. Every number comes from the small JSONs in
`benchmarks/accuracy/`, one a run, each with its settings, machine, date and commit. Selection
is explained in [selection.md](selection.md).

{earlier_power()}
"""
    parts = [head, conclusions(), *map(experiment, EXPERIMENTS)]
    parts += [*map(side_table, SIDE_TABLES), usage()]
    published = (HERE / "published.md").read_text("utf-8")
    return "\n".join([*parts, not_shown(), published])


def draw() -> None:
    from keras_sparsebnn.analysis.plots import codeword_usage
    from keras_sparsebnn.experiments import figures

    for folder, (_, matrices) in EXPERIMENTS.items():
        found = comparison_of(folder)
        if found is not None:
            shown = with_rows(found, variants_of(matrices[0]))
            figures.comparison([shown], IMAGES / f"results_{folder}.png")
    late = side_comparison(PICTURED)
    if late is not None:
        figures.comparison([late], IMAGES / f"results_{PICTURED}.png")
    data = json.loads((HERE / "codeword_usage.json").read_text("utf-8"))
    models = {"before training": data["untrained"], "trained, 1-bit": data["trained"]}
    codeword_usage(models, IMAGES / "codeword_frequencies.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    args = parser.parse_args()
    text = page()
    if args.check:
        if not PAGE.exists() or PAGE.read_text("utf-8") != text:
            sys.exit(f"Expected {PAGE.name} as the results give it. Run {Path(__file__).name}.")
        return
    draw()
    PAGE.write_text(text, "utf-8")
    print(f"Wrote {PAGE}")


if __name__ == "__main__":
    main()
