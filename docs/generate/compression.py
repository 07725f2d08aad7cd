"""The tables of benchmarks/accuracy/compress.json and pruning.json.

Both have a line a run: seed, way of getting the codewords, n, test accuracy.
"""

from __future__ import annotations

import functools
import json
import statistics
from typing import Any

from docs.generate.accuracy import RECORDS
from docs.generate.differences import by_seed, marked
from docs.generate.pages import Tables, commit, markdown

COMPRESS = {
    "random": "n at random",
    "facility_location": "n by facility location (`restrict`)",
    "structured": "these, then exchanged by structured logits",
    "allocate": "by facility location, n of each layer by `allocate`",
}
PLANNED = (("structured", "facility_location"), ("allocate", "facility_location"))
PRUNING = {
    "random": "n at random",
    "facility_location": "n by facility location at 30 %",
    "pruned": "pruned from 512 to n between 10 and 50 %",
}


@functools.cache
def result(name: str) -> dict[str, Any]:
    """The file's content: environment, setting, runs."""
    found: dict[str, Any] = json.loads((RECORDS / f"{name}.json").read_text("utf-8"))
    return found


def runs(name: str, way: str, n: int) -> list[dict[str, Any]]:
    return [r for r in result(name)["runs"] if (r["way"], r["codewords"]) == (way, n)]


def sizes(name: str) -> list[int]:
    """Every n that was run, without 512."""
    return sorted({run["codewords"] for run in result(name)["runs"]} - {512})


def accuracies(way: str, n: int, name: str = "compress") -> dict[int, float]:
    """Seed -> test accuracy."""
    return {run["seed"]: run["test_accuracy"] for run in runs(name, way, n)}


def mean(name: str, way: str, n: int) -> str:
    found = [100 * value for value in accuracies(way, n, name).values()]
    spread = f" ± {statistics.stdev(found):.2f}" if found[1:] else ""
    return f"{statistics.mean(found):.2f}{spread}"


def source(name: str) -> str:
    environment = result(name)["environment"]
    return (
        f"`python -m benchmarks.accuracy.{name}`, {environment['date']}, "
        f"{environment['machine']['cpu']}, {commit(environment['commit'])}."
    )


def compression() -> str:
    """A row for every way to compress a network, and number of codewords."""
    setting = result("compress")["setting"]

    def bits(way: str, n: int) -> str:
        return f"{statistics.mean(r['bits_per_weight'] for r in runs('compress', way, n)):.2f}"

    lines = []
    for n in sizes("compress"):
        for way, label in COMPRESS.items():
            size = str(n) if way != "allocate" else f"the bits of {n}"
            against = ""
            if (way, "facility_location") in PLANNED:
                count = len(PLANNED) * len(sizes("compress"))
                rival = accuracies("facility_location", n)
                d = by_seed(accuracies(way, n), rival, confidence=1 - 0.05 / count)
                against = marked(d)
            lines.append([label, size, bits(way, n), mean("compress", way, n), against])
    lines.append(["all 512", "512", bits("one_bit", 512), mean("compress", "one_bit", 512), ""])
    header = ["codewords of a layer", "n", "bits/weight", "test accuracy [%]"]
    header.append("minus `restrict` [points]")
    before = [100 * run["before"] for run in runs("compress", "one_bit", 512)]
    return (
        f"{markdown(header, lines)}\n\n"
        f"CIFAR-10, network `small`, widths {', '.join(map(str, setting['widths']))}: "
        f"{setting['epochs']} epochs of plain 1-bit ({statistics.mean(before):.2f} %), then "
        f"{setting['epochs_after']} more of each way at a rate of "
        f"{setting['learning_rate_after']:g}; seeds: {len(before)}. Bits with codebooks. Mean "
        "± standard deviation; differences are paired by seed, and their intervals hold at 95 "
        f"% together (Bonferroni); bold excludes 0. {source('compress')}"
    )


def pruning() -> str:
    """A row for every way to have n codewords in the end, and n."""
    setting = result("pruning")["setting"]
    lines, rivals = [], ("random", "facility_location")
    for n in sizes("pruning"):
        for way, label in PRUNING.items():
            own = accuracies(way, n, "pruning")
            against = [
                "-" if rival == way else marked(by_seed(own, accuracies(rival, n, "pruning")))
                for rival in rivals
            ]
            lines.append([label, str(n), mean("pruning", way, n), *against])
    header = ["codewords of a layer", "n", "test accuracy [%]", "minus random [points]"]
    header.append("minus facility location [points]")
    seeds = len(runs("pruning", "pruned", sizes("pruning")[0]))
    return (
        f"{markdown(header, lines)}\n\n"
        f"CIFAR-10, network `small`, widths {', '.join(map(str, setting['widths']))}, "
        f"{setting['epochs']} epochs; seeds: {seeds}. Differences: paired by seed, with 95 % "
        f"intervals, not corrected for their number; bold excludes 0. {source('pruning')}"
    )


TABLES: Tables = {"compression": compression, "pruning": pruning}
