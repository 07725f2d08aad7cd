"""The regimes in which methods differ: their tables and the comparisons planned for them.

Each is a folder of benchmarks/accuracy with a matrix, and the records of its runs.
"""

from __future__ import annotations

import dataclasses
import functools

from docs.generate.accuracy import comparison_of, variants_of, whole_table
from docs.generate.pages import Tables, markdown
from keras_sparsebnn.experiments.comparison import Comparison
from keras_sparsebnn.experiments.statistics import Difference, paired_difference

Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Regime:
    """A folder of runs.

    Attributes:
        title: what a reader calls it.
        dataset: of its runs.
        matrices: in its folder, the planned one first.
        planned: the pairs (variant, rival) that were named before any run.
    """

    title: str
    dataset: str
    matrices: tuple[str, ...]
    planned: tuple[Pair, ...]


BOTH = (("structured", "random"), ("structured_fl", "facility_location"))
REGIMES = {
    "short": Regime("CIFAR-10, 4 epochs", "cifar10", ("matrix.json",), BOTH),
}


def matrices() -> list[str]:
    """All matrices, as paths in benchmarks/accuracy."""
    return [f"{name}/{file}" for name, regime in REGIMES.items() for file in regime.matrices]


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
        seeds = sorted(set(a) & set(b))
        if seeds:
            difference = paired_difference(
                [a[seed] for seed in seeds], [b[seed] for seed in seeds], confidence=level
            )
            found.append(((ours, theirs), n, difference))
    return found


def planned() -> str:
    """A row for every planned comparison."""
    table = []
    for name, regime in REGIMES.items():
        for (ours, theirs), n, d in compared(name):
            mean = f"{100 * d.mean:+.2f}"
            if d.half_width is not None:
                low, high = (100 * (d.mean + sign * d.half_width) for sign in (-1, 1))
                mean += f" [{low:+.2f}, {high:+.2f}]"
            verdict = "yes" if d.separated and d.mean > 0 else "no"
            question = f"`{ours}` above `{theirs}`"
            table.append([f"{regime.title}: {question}", str(n), mean, str(d.seeds), verdict])
    header = ["planned comparison", "n", "difference [points]", "seeds", "shown"]
    return (
        f"{markdown(header, table)}\n\nPaired by seed. The intervals of a regime hold at 95 % "
        "for all of its comparisons together (Bonferroni)."
    )


def regime_table(name: str) -> str:
    return whole_table(comparison(name))


TABLES: Tables = {
    "planned": planned,
    **{f"regime_{name}": functools.partial(regime_table, name) for name in REGIMES},
}
