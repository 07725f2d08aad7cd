"""The table of benchmarks/accuracy/compress.json: ways to compress one trained network."""

from __future__ import annotations

import json
import statistics
from typing import Any

from docs.generate.accuracy import RECORDS
from docs.generate.pages import Tables, commit, markdown
from keras_sparsebnn.experiments.statistics import Difference, paired_difference

LABELS = {
    "random": "n at random",
    "facility_location": "n by facility location (`restrict`)",
    "structured": "these, then exchanged by structured logits",
    "allocate": "by facility location, n of each layer by `allocate`",
    "one_bit": "all 512",
}
PLANNED = (("structured", "facility_location"), ("allocate", "facility_location"))


def runs() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((RECORDS / "compress.json").read_text("utf-8"))[
        "runs"
    ]
    return found


def accuracies(way: str, n: int) -> dict[int, float]:
    """Seed -> test accuracy."""
    rows = [run for run in runs() if (run["way"], run["codewords"]) == (way, n)]
    return {run["seed"]: run["test_accuracy"] for run in rows}


def difference(way: str, rival: str, n: int) -> Difference:
    """Paired by seed. The intervals of `PLANNED` hold for all of them together."""
    ours, theirs = accuracies(way, n), accuracies(rival, n)
    seeds = sorted(set(ours) & set(theirs))
    sizes = {run["codewords"] for run in runs()} - {512}
    level = 1 - 0.05 / (len(PLANNED) * len(sizes))
    return paired_difference(
        [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds], confidence=level
    )


def _points(d: Difference) -> str:
    if d.half_width is None:
        return f"{100 * d.mean:+.2f}"
    low, high = (100 * (d.mean + sign * d.half_width) for sign in (-1, 1))
    text = f"{100 * d.mean:+.2f} [{low:+.2f}, {high:+.2f}]"
    return f"**{text}**" if d.separated else text


def _line(way: str, n: int) -> list[str]:
    rows = [run for run in runs() if (run["way"], run["codewords"]) == (way, n)]
    found = [100 * value for value in accuracies(way, n).values()]
    bits = [run["bits_per_weight"] for run in rows]
    against = ""
    if (way, "facility_location") in PLANNED:
        against = _points(difference(way, "facility_location", n))
    return [
        LABELS[way],
        str(n) if way != "allocate" else f"the bits of {n}",
        f"{statistics.mean(bits):.2f}",
        f"{statistics.mean(found):.2f}"
        + (f" ± {statistics.stdev(found):.2f}" if found[1:] else ""),
        against,
    ]


def table() -> str:
    """A row for every way and number of codewords."""
    result = json.loads((RECORDS / "compress.json").read_text("utf-8"))
    setting, environment = result["setting"], result["environment"]
    sizes = sorted({run["codewords"] for run in runs()} - {512})
    ways = [way for way in LABELS if way != "one_bit"]
    lines = [_line(way, n) for n in sizes for way in ways] + [_line("one_bit", 512)]
    header = ["codewords of a layer", "n", "bits/weight", "test accuracy [%]"]
    header.append("minus `restrict` [points]")
    before = [100 * run["before"] for run in runs() if run["way"] == "one_bit"]
    return (
        f"{markdown(header, lines)}\n\n"
        f"CIFAR-10, network `small`, widths {', '.join(map(str, setting['widths']))}: "
        f"{setting['epochs']} epochs of plain 1-bit ({statistics.mean(before):.2f} %), then "
        f"{setting['epochs_after']} more of each way at a rate of "
        f"{setting['learning_rate_after']:g}; seeds: {len(before)}. Bits with codebooks. Mean "
        "± standard deviation; differences are paired by seed, and their intervals hold at 95 "
        "% together (Bonferroni); bold excludes 0. `python -m benchmarks.accuracy.compress`, "
        f"{environment['date']}, {environment['machine']['cpu']}, "
        f"{commit(environment['commit'])}."
    )


TABLES: Tables = {"compression": table}
