"""What few codewords could save, from benchmarks/results/few_codewords-*.json and
benchmarks/accuracy/pair_atoms.json."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.result_files import newest
from docs.generate.pages import ROOT, Tables, commit, markdown
from keras_sparsebnn.analysis.plots import new_figure

ACCURACY = ROOT / "benchmarks" / "accuracy" / "pair_atoms.json"
NETWORK = "ResNet-18, QuickNet"
METRICS = {"instructions": "instructions", "cortex-a72": "A72", "neoverse-n1": "N1"}
TODAY, BYTES = "today's kernels", "sums of bytes"
Row = Mapping[str, Any]

# (codewords or atoms, input channels that they are for, width, how it runs): what both records
# know, in the order of the tables.
WAYS = (
    *((n, 1, 1.0, TODAY) for n in (32, 16, 8, 4)),
    *((n, 1, 1.0, f"{BYTES}, single channels") for n in (32, 16)),
    *((n, 1, 1.0, f"{BYTES}, pairs") for n in (16, 8, 4)),
    *((n, 2, 1.0, f"{BYTES}, pairs") for n in (128, 64)),
    *((32, 1, width, TODAY) for width in (0.75, 0.5)),
)
Way = tuple[int, int, float, str]


def value(row: Row, metric: str) -> float:
    """Instructions, or cycles of a core."""
    found = row["instructions"] if metric == "instructions" else row["cores"][metric]["cycles"]
    return float(found)


def rows_of(layers: Iterable[Row], way: Way) -> list[Row]:
    """What was counted for a way; of today's kernels the dense one, too."""
    count, channels, width, how = way
    found = []
    for row in layers:
        if row["layer_width"] != width:
            continue
        if row["kernel"] == "pair_sums":
            mine = (row["atoms"] or row["codewords"], 2 if row["atoms"] else 1)
            runs = f"{BYTES}, {'pairs' if row['group'] == 2 else 'single channels'}"
            if (*mine, runs) == (count, channels, how):
                found.append(row)
        elif how == TODAY and (row["kernel"] == "xnor" or row["codewords"] == count):
            found.append(row)
    return found


def best(layers: Iterable[Row], way: Way, metric: str) -> dict[tuple[int, int], Row]:
    """For each (width of the layer's channels, side): the kernel that takes the least."""
    found: dict[tuple[int, int], Row] = {}
    for row in rows_of(layers, way):
        place = (row["height"], round(row["channels_in"] / row["layer_width"]))
        if place not in found or value(row, metric) < value(found[place], metric):
            found[place] = row
    return found


def ratios(layers: list[Row], way: Way, metric: str) -> float:
    """Mean over ResNet-18's layers of what a way takes, today's with n = 32 being 1."""
    layers = [row for row in layers if row["network"] == NETWORK]
    base, own = (best(layers, each, metric) for each in (WAYS[0], way))
    return statistics.mean(value(own[key], metric) / value(base[key], metric) for key in base)


def accuracies(way: Way) -> list[float]:
    """Test accuracies in percent, a seed each."""
    count, channels, width, _ = way
    runs = json.loads(ACCURACY.read_text("utf-8"))["runs"]
    full = max(sum(run["widths"]) for run in runs)
    return [
        100 * run["test_accuracy"]
        for run in runs
        if (run["atoms"], run["channels"]) == (count, channels)
        and sum(run["widths"]) == round(full * width)
    ]


def mean_and_spread(values: list[float]) -> tuple[float, float | None]:
    """Mean and standard deviation; None for that of one value."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def bits(count: int, channels: int) -> float:
    """Bits of an index, for each weight."""
    return (count.bit_length() - 1) / (9 * channels)


def _source(result: Row, script: str) -> str:
    environment = result["environment"]
    return (
        f"`python -m benchmarks.{script}`, {environment['date']}, "
        f"{commit(environment['commit'])}"
    )


def _weights(way: Way) -> str:
    count, channels, width, _ = way
    what = f"n = {count}" if channels == 1 else f"n' = {count} atoms"
    return what if width == 1 else f"{what}, {width} of the channels"


def counts() -> str:
    result = newest("few_codewords")
    layers = result["layers"]
    places = list(best(layers, WAYS[0], "instructions"))
    table = []
    for way in WAYS:
        own = best(layers, way, "instructions")
        cells = [
            f"{128 * own[place]['instructions'] / own[place]['triples']:.1f}"
            + (" (dense)" if own[place]["kernel"] == "xnor" else "")
            if place in own
            else ""
            for place in places
        ]
        table.append([f"{_weights(way)}, {way[3]}", *cells])
    header = ["weights, kernel", *(f"{c} ch, {side}x{side}" for side, c in places)]
    return (
        f"{markdown(header, table)}\n\nInstructions for 128 triples (input channel, output "
        "channel, pixel). Float output, stride 1. " + _source(result, "arm.few_codewords") + "."
    )


def costs() -> str:
    result = newest("few_codewords")
    table = []
    for way in WAYS:
        own = accuracies(way)
        mean, spread = mean_and_spread(own)
        table.append(
            [
                _weights(way),
                way[3],
                f"{bits(way[0], way[1]):.2f}",
                f"{mean:.1f}" + ("" if spread is None else f" ± {spread:.1f}"),
                str(len(own)),
                *(f"{ratios(result['layers'], way, metric):.2f}" for metric in METRICS),
            ]
        )
    header = ["weights", "kernel", "bits/weight", "test accuracy [%]", "seeds"]
    header += ["instructions", "A72, cycles", "N1, cycles"]
    record = json.loads(ACCURACY.read_text("utf-8"))
    full = statistics.mean(accuracies((512, 1, 1.0, "")))
    return (
        f"{markdown(header, table)}\n\nAccuracy: `small` on Fashion-MNIST, restricted after "
        "80 % of 2 epochs, mean ± standard deviation; plain 1-bit has "
        f"{full:.1f} %. {_source(record, 'accuracy.pair_atoms')}. Cost: mean over the four "
        "layers of ResNet-18 above, the better of the two kernels with n = 32 being 1. "
        + _source(result, "arm.few_codewords")
        + "."
    )


def phases() -> str:
    result = newest("few_codewords")
    names = {
        "Gather": "sums of table entries, for each output channel",
        "SumPairs": "tables of pairs",
        "SumListed": "tables of codewords",
        "SumRows": "rows of three taps",
        "ExpandBits": "bits to bytes",
        "Store8x8": "to floats, transposed",
    }
    chosen = [
        best(result["layers"], way, "instructions")[28, 128]
        for way in WAYS
        if way[3] == f"{BYTES}, pairs" and way[:2] in ((4, 1), (8, 1), (64, 2))
    ]
    table = []
    for name, label in names.items():
        own = [row["phases"].get(name, {"instructions": 0})["instructions"] for row in chosen]
        table.append([label, *_per_128(chosen, own)])
    known = [
        sum(row["phases"].get(name, {"instructions": 0})["instructions"] for name in names)
        for row in chosen
    ]
    rest = [row["instructions"] - n for row, n in zip(chosen, known, strict=True)]
    table.append(["calls, loops, clearing", *_per_128(chosen, rest)])
    table.append(["**all**", *_per_128(chosen, [row["instructions"] for row in chosen])])
    kib = [f"{row['table_bytes'] / 1024:.0f} KiB" for row in chosen]
    table.append(["tables of a chunk in memory", *kib])
    header = ["128 to 128 ch, 28x28"]
    header += [
        f"n' = {row['atoms']} atoms" if row["atoms"] else f"n = {row['codewords']}, pairs"
        for row in chosen
    ]
    return (
        f"{markdown(header, table)}\n\nInstructions for 128 triples. "
        + _source(result, "arm.few_codewords")
        + "."
    )


def planes(channels: int, pool: int) -> float:
    """Planes that a 3x3 kernel adds to a bit-sliced sum.

    Args:
        channels: of a table; 1 is today's kernel, which tabulates seven taps and pools two.
        pool: the group size of pooled positions; each group gives one position back.
    """
    if channels == 1:
        return 2 + 3 * 2 / (pool - 1)
    tabulated = (9 * channels).bit_length() - 1  # all but the lowest, the parity
    return (tabulated + 2 / (pool - 1)) / channels


def bounds() -> str:
    """The bit-sliced kernel with fewer planes to add, everything else as it is."""
    result = newest("few_codewords")
    layers = result["layers"]
    table = []
    for place, dense in best(layers, (0, 1, 1.0, TODAY), "instructions").items():
        rows = best([r for r in layers if r["kernel"] == "codebook"], WAYS[2], "instructions")
        row = rows[place]
        if row["network"] != NETWORK:
            continue
        pool = 7 if row["channels_out"] >= 512 else 6
        total, sums = row["instructions"], row["phases"]["AddChunk"]["instructions"]
        cells = [f"{place[1]} ch, {place[0]}x{place[0]}", *_per_128([row, row], [total, sums])]
        before = min(total, dense["instructions"])
        for channels in (2, 3):
            left = total - sums * (1 - planes(channels, pool) / planes(1, pool))
            cells += [f"{128 * left / row['triples']:.1f}, {before / left:.2f}x"]
        table.append(cells)
    header = ["3x3 layer", "n = 8 today", "of which sums", "pairs", "triples"]
    return (
        f"{markdown(header, table)}\n\nInstructions for 128 triples; how many times fewer than "
        f"the better of today's kernels. {_source(result, 'arm.few_codewords')}."
    )


def _per_128(rows: list[Row], numbers: list[int]) -> list[str]:
    return [f"{128 * n / r['triples']:.1f}" for r, n in zip(rows, numbers, strict=True)]


def draw(path: Path) -> None:
    """Accuracy against bits a weight, and against modelled cycles."""
    layers = newest("few_codewords")["layers"]
    pairs, single = f"{BYTES}, pairs", f"{BYTES}, single channels"
    series = {  # label -> (style, ways, axes that have it)
        "today's kernels, n = 4 to 32": ("o-", "#0072B2", list(WAYS[:4])),
        "today's kernels, n = 32, fewer channels": (
            "s-",
            "#009E73",
            [WAYS[0], *(w for w in WAYS if w[2] != 1)],
        ),
        "sums of bytes over pairs, n = 4 to 16": (
            "^--",
            "#D55E00",
            [w for w in WAYS if w[3] == pairs and w[1] == 1],
        ),
        "sums of bytes, n = 16, 32": ("v--", "#E69F00", [w for w in WAYS if w[3] == single]),
        "atoms of two channels, n' = 64, 128": (
            "D--",
            "#CC79A7",
            [w for w in WAYS if w[1] == 2],
        ),
    }
    figure = new_figure(11, 3.8)
    axes = figure.subplots(1, 3, sharey=True)
    by_bits: dict[str, list[Way]] = {
        "today's kernels, n = 4 to 32": [(n, 1, 1.0, "") for n in (4, 8, 16, 32)],
        "atoms of two channels, n' = 64, 128": [(n, 2, 1.0, "") for n in (64, 128, 256)],
    }
    places: list[Callable[[Way], float]] = [
        lambda way: bits(way[0], way[1]),
        lambda way: ratios(layers, way, "cortex-a72"),
        lambda way: ratios(layers, way, "neoverse-n1"),
    ]
    for label, (style, colour, ways) in series.items():
        for axis, place in zip(axes, places, strict=True):
            own = by_bits.get(label, []) if axis is axes[0] else ways
            points = [(place(way), accuracies(way)) for way in own]
            x = [p for p, _ in points]
            spreads = [mean_and_spread(values) for _, values in points]
            means, errors = [m for m, _ in spreads], [e or 0 for _, e in spreads]
            if points:
                axis.errorbar(x, means, errors, fmt=style, color=colour, ms=5, lw=1.2)
            for way, at, mean in zip(own, x, means, strict=True):
                text = f"{way[0]}" if way[2] == 1 else f"{way[2]}x"
                axis.annotate(
                    text, (at, mean), (4, -10), textcoords="offset points", fontsize=7
                )
        axes[1].plot([], [], style, color=colour, ms=5, lw=1.2, label=label)
    axes[0].set_xlabel("bits of an index, per weight", fontsize=9)
    axes[0].set_ylabel("Fashion-MNIST test accuracy [%]")
    for axis, core in zip(axes[1:], ("Cortex-A72", "Neoverse N1"), strict=True):
        axis.set_xlabel(f"modelled cycles on {core} (today's n = 32: 1)", fontsize=9)
    for axis in axes:
        axis.grid(color="0.92")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, facecolor="white")


TABLES: Tables = {
    **{"few_bounds": bounds, "few_counts": counts},
    **{"few_phases": phases, "few_costs": costs},
}
