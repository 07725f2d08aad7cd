"""The regimes in which methods differ: their tables and the comparisons planned for them.

Each is a folder of benchmarks/accuracy with a matrix, and the records of its runs.
"""

from __future__ import annotations

import dataclasses
import functools

from docs.generate.accuracy import RECORDS, comparison_of, variants_of, whole_table
from docs.generate.differences import by_seed, marked
from docs.generate.pages import Tables, markdown
from keras_sparsebnn.experiments import records
from keras_sparsebnn.experiments.comparison import Comparison
from keras_sparsebnn.experiments.statistics import Difference, paired_difference

Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Regime:
    """A folder of runs.

    Attributes:
        title: what a reader calls it.
        layers: the channels of its binary layers.
        dataset: of its runs.
        matrices: in its folder, the planned one first.
        planned: the pairs (variant, rival) that were named before any run.
    """

    title: str
    layers: str
    dataset: str
    matrices: tuple[str, ...]
    planned: tuple[Pair, ...]


BOTH = (("structured", "random"), ("structured_fl", "facility_location"))
REGIMES = {
    "long": Regime(
        "CIFAR-10, 16 epochs",
        "32 to 128",
        "cifar10",
        ("matrix.json",),
        (*BOTH, ("structured", "facility_location")),
    ),
    "short": Regime(
        "CIFAR-10, 4 epochs",
        "16 to 64",
        "cifar10",
        ("matrix.json", "free.json", "travel.json"),
        (*BOTH, ("structured", "free")),
    ),
    "fashion": Regime(
        "Fashion-MNIST, 4 epochs",
        "8 to 32",
        "fashion_mnist",
        ("matrix.json", "others.json"),
        BOTH,
    ),
}


@functools.cache
def comparison(name: str) -> Comparison:
    """The runs of a regime, by n and in the order of its matrices."""
    regime = REGIMES[name]
    found = comparison_of(regime.dataset, folder=name)
    order = [v for file in regime.matrices for v in variants_of(f"{name}/{file}")]
    rows = sorted(found.rows, key=lambda row: (row.codewords, order.index(row.variant)))
    return dataclasses.replace(found, rows=tuple(rows))


def compared(name: str) -> list[tuple[Pair, int, Difference]]:
    """The planned comparisons of a regime; intervals hold for all of them together."""
    rows = {(row.variant, row.codewords): row.accuracies for row in comparison(name).rows}
    sizes = sorted({n for _, n in rows} - {512})
    pairs = [(pair, n) for pair in REGIMES[name].planned for n in sizes]
    level = 1 - 0.05 / len(pairs)
    found = []
    for (ours, theirs), n in pairs:
        a, b = rows.get((ours, n), {}), rows.get((theirs, n), {})
        difference = by_seed(a, b, confidence=level)
        if difference is not None:
            found.append(((ours, theirs), n, difference))
    return found


def planned() -> str:
    """A row for every planned comparison."""
    table = []
    for name, regime in REGIMES.items():
        for (ours, theirs), n, d in compared(name):
            verdict = "yes" if d.separated and d.mean > 0 else "no"
            question = f"`{ours}` above `{theirs}`"
            table.append(
                [f"{regime.title}: {question}", str(n), d.in_points(), str(d.seeds), verdict]
            )
    header = ["planned comparison", "n", "difference [points]", "seeds", "shown"]
    return (
        f"{markdown(header, table)}\n\nPaired by seed. The intervals of a regime hold at 95 % "
        "for all of its comparisons together (Bonferroni)."
    )


TOGETHER = (*BOTH, ("facility_location", "random"), ("structured", "free"), ("free", "random"))


def together() -> str:
    """Pairs of variants over all regimes and n: a row each, a pair of runs a sample."""
    lines = []
    for ours, theirs in TOGETHER:
        samples = []
        for name in REGIMES:
            rows = {(r.variant, r.codewords): r.accuracies for r in comparison(name).rows}
            for variant, n in rows:
                a, b = rows[variant, n], rows.get((theirs, n), {})
                if variant == ours:
                    samples += [(a[seed], b[seed]) for seed in sorted(set(a) & set(b))]
        d = paired_difference(*zip(*samples, strict=True), confidence=1 - 0.05 / len(TOGETHER))
        lines.append([f"`{ours}` above `{theirs}`", marked(d), str(len(samples))])
    return markdown(["all regimes and n together", "difference [points]", "pairs"], lines)


def span(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def exchanges() -> str:
    """How many codewords each way of selecting still exchanges, over the seeds."""
    lines = []
    for name, regime in REGIMES.items():
        found: dict[tuple[int, str], list[list[int]]] = {}
        for _, record in records.read(RECORDS / name / f"{regime.dataset}.jsonl"):
            if record is None:
                continue  # damaged: `comparison` has said so
            run = record["run"]
            changed = found.setdefault((run["codewords"], run["variant"]), [])
            changed.append(record["codewords_changed"])
            layers = len(record["config"]["model_options"]["widths"])
        order = [v for file in regime.matrices for v in variants_of(f"{name}/{file}")]
        for n, variant in sorted(found, key=lambda key: (key[0], order.index(key[1]))):
            runs = found[n, variant]
            if any(map(any, runs)):
                cells = [span([*map(sum, runs)]), span([epochs[-1] for epochs in runs])]
                lines.append([f"{regime.title}: `{variant}`", f"{n}", f"{n * layers}", *cells])
    header = ["way of selecting", "n", "codewords of all layers", "exchanged in a run"]
    return (
        f"{markdown([*header, 'in its last epoch'], lines)}\n\nFewest and most over the seeds, "
        "counted from one epoch's end to the next: not in it is what comes and goes within an "
        "epoch, nor the first one."
    )


WAYS = {
    "one_bit": "all 512, plain 1-bit",
    "structured_fl": "learned, from facility location on its own kernels",
    "facility_location": "facility location on its own kernels",
    "structured": "learned, from random codewords",
    "random": "random",
}
N = 16


def selection() -> str:
    """Ways of choosing 16 codewords, the regimes side by side: the README's table."""
    rows = {
        name: {row.variant: row for row in comparison(name).rows if row.codewords in (N, 512)}
        for name in REGIMES
    }

    level = 1 - 0.05 / (len(WAYS) - 1)  # every way but random

    def cell(name: str, way: str) -> str:
        own, random = (rows[name][v].accuracies for v in (way, "random"))
        text = f"{100 * rows[name][way].mean:.1f}"
        d = by_seed(own, random, confidence=level)
        if way == "random" or d is None or d.half_width is None:
            return text
        text += f" ({100 * d.mean:+.1f} ± {100 * d.half_width:.1f})"
        return f"**{text}**" if d.separated else text

    lines = [[label, *(cell(name, way) for name in REGIMES)] for way, label in WAYS.items()]
    titles = {name: regime.title for name, regime in REGIMES.items()}
    header = [f"codewords of a layer, {N} of 512", *titles.values()]
    seeds = {title: len(rows[name]["random"].accuracies) for name, title in titles.items()}
    return (
        f"{markdown(header, lines)}\n\nTest accuracy [%]; in brackets points above random "
        "codewords, paired by seed, with intervals that hold at 95 % for a column together "
        "(Bonferroni), bold where they exclude 0. "
        f"{N} codewords are 0.44 bits a weight. Seeds: "
        f"{', '.join(f'{count} ({title})' for title, count in seeds.items())}."
    )


def regime_table(name: str) -> str:
    return whole_table(comparison(name))


TABLES: Tables = {
    "planned": planned,
    "together": together,
    "exchanges": exchanges,
    "selection": selection,
    **{f"regime_{name}": functools.partial(regime_table, name) for name in REGIMES},
}
