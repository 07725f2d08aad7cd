"""Tables of the independent experiment, from benchmarks/accuracy/replica/."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from docs.generate.differences import by_seed, marked
from docs.generate.pages import ROOT, Tables, markdown

RECORDS = ROOT / "benchmarks" / "accuracy" / "replica"
LABELS = {
    "one_bit": "all 512, plain 1-bit",
    "pste_struct": "structured logits, from random codewords",
    "pste_struct_fl": "structured logits, after facility location at 30 %",
    "fl": "facility location at 30 %",
    "fl_loss": "facility location at 30 %, weighted by effects on the loss",
    "pste_env_smooth_v": "exchanges that pay once kernels follow, from the smooth prior",
    "pste_env_v": "exchanges that pay once kernels follow, from random codewords",
    "prune": "pruning 512 to n, from 10 to 50 %",
    "random_warm": "random at 30 %",
    "smooth": "smooth prior: facility location over smooth Gaussian kernels, no data",
    "fl_transfer": "facility location on the kernels of another, finished run",
    "random": "random from the start",
    "pste": "free logits, the old defaults",
}
Accuracies = dict[int, float]


Runs = dict[tuple[str, int], Accuracies]
"""(label, n) -> seed -> accuracy."""


def _read(name: str, steps: Callable[[dict[str, Any]], bool]) -> Runs:
    """The runs whose steps are wanted."""
    found: Runs = {}
    for line in (RECORDS / name).read_text("utf-8").splitlines():
        run = json.loads(line)
        if not steps(run):
            continue
        label = LABELS[run["method"]]
        if "rate" in run["options"]:
            label += ", three times the travel"
        found.setdefault((label, run["n"]), {})[run["seed"]] = run["accuracy"]
    return found


def _table(runs: Runs) -> str:
    rows = []
    for n in sorted({n for _, n in runs}, reverse=True):
        cells = [(label, seeds) for (label, m), seeds in runs.items() if m == n]
        for label, seeds in sorted(cells, key=lambda c: -sum(c[1].values()) / len(c[1])):
            mean = 100 * sum(seeds.values()) / len(seeds)
            rivals = ((LABELS["random"], n), (LABELS["one_bit"], 512))
            compared = [
                "-" if rival == (label, n) else marked(by_seed(seeds, runs.get(rival, {})))
                for rival in rivals
            ]
            rows.append([label, str(n), f"{mean:.2f}", str(len(seeds)), *compared])
    header = ["codewords", "n", "test accuracy [%]", "seeds", "minus random [points]"]
    return markdown([*header, "minus 1-bit [points]"], rows)


def gpu_runs() -> Runs:
    """Those of the larger experiment."""
    return _read("gpu.jsonl", lambda run: True)


def replica_gpu() -> str:
    """The larger experiment."""
    table = _table(gpu_runs())
    return (
        f"{table}\n\nCIFAR-10, six binary layers of 128 to 512 channels, 16 epochs, one H100, "
        "2026-11-26. Paired by seed, 95 % intervals, not corrected for their number; bold: 0 "
        "lies outside. Records: benchmarks/accuracy/replica."
    )


def replica_cpu() -> str:
    """The short one, in a regime that a CPU can pay for."""
    short = _table(_read("cpu.jsonl", lambda run: run["steps"] in (1560, 1092)))
    return (
        f"{short}\n\nCIFAR-10, 20,000 images, six binary layers of 32 to 128 channels, 10 "
        "epochs, one core, 100 s a run, tested on 2,000 images, 2026-11-26. As above."
    )


TABLES: Tables = {"replica_gpu": replica_gpu, "replica_cpu": replica_cpu}
