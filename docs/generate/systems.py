"""The table of docs/networks.md that sets the field's systems beside each other."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.result_files import newest
from benchmarks.speed.systems import MATRIX
from docs.generate.accuracy import recorded
from docs.generate.pages import Tables, commit, markdown
from keras_sparsebnn.experiments.comparison import Row, compare
from keras_sparsebnn.experiments.tables import budget

FOLDER = "systems"
# Variant -> what a reader calls it, in the order of the table.
LABELS = {
    "one_bit": "1 bit (`ste_sign`)",
    "learned": "n learned (`SparseKernel`)",
    "rbonn": "RBONN",
    "rbonn_gradient": "RBONN, backtracking of the gradient",
    "rbonn_no_backtrack": "RBONN without backtracking",
    "bits_1x2": "2-bit weights",
    "bits_2x1": "2-bit activations",
    "bits_2x2": "2-bit weights and activations",
    "reactnet_ede": "1 bit with EDE",
    "adabin": "AdaBin",
    "adabin_code": "AdaBin, activations as in its code",
    "adabin_no_center": "AdaBin without the weights' centre",
    "bcdnet_block": "ReActNet-A's blocks",
    "bcdnet_mlp": "BCDNet: MLP blocks at the end",
    "bcdnet_dynamic": "BCDNet-B: thresholds from the map",
    "groups_found": "groups found by the search",
    "groups_2": "two groups wherever possible",
    "oblivious": "for oblivious inference",
}


def table() -> str:
    """A row for every variant and n that was trained, in the order of `LABELS`."""
    comparisons = compare(recorded(FOLDER))
    rows = {(r.variant, r.codewords): r for found in comparisons for r in found.rows}
    costs = newest("systems")
    order = list(LABELS)
    measured = sorted(costs["systems"], key=lambda cost: order.index(cost["variant"]))
    header = ["network", "system", "bits/weight", "binary weights", "other parameters"]
    header += ["million BOPs", "kB, LCE", "kB, sub-bit", "latency [ms]", "test accuracy [%]"]
    lines = [_line(cost, rows[cost["variant"], cost["codewords"]]) for cost in measured]
    seeds = sorted({len(row.accuracies) for row in rows.values()})
    hours = sum(row.cpu_seconds * len(row.accuracies) for row in rows.values()) / 3600
    settings = budget(json.loads(MATRIX.read_text("utf-8"))["settings"])
    environment = costs["environment"]
    return (
        f"{markdown(header, lines)}\n\n"
        f"Fashion-MNIST; {settings}, and what a variant of the matrix sets besides; "
        f"{' to '.join(map(str, seeds))} seeds, {hours:.1f} CPU hours. "
        "Mean ± standard deviation over seeds, on the test split. "
        "Bits of the binary layers, without codebooks; operations of them alone. Latency: LCE "
        f"file, delegate, one thread, median of {costs['setting']['runs']}, all files in turn. "
        "`sparsebnn experiment benchmarks/accuracy/systems/matrix.json`, then "
        "`python -m benchmarks.speed.systems`, "
        f"{environment['date']}, {environment['machine']['cpu']}, "
        f"{commit(environment['commit'])}."
    )


def _line(cost: dict[str, Any], row: Row) -> list[str]:
    n = f", n = {cost['codewords']}" if row.method in ("learned", "rbonn") else ""
    spread = "" if row.deviation is None else f" ± {100 * row.deviation:.2f}"
    return [
        f"`{cost['network']}`",
        LABELS[row.variant] + n,
        f"{1e6 * cost['mbit'] / cost['binary_weights']:.2f}",
        f"{cost['binary_weights']:,}",
        f"{cost['other_parameters']:,}",
        f"{cost['bops'] / 1e6:.2f}",
        f"{cost['bytes']['lce'] / 1e3:.1f}",
        f"{cost['bytes']['subbit'] / 1e3:.1f}",
        f"{cost['median_ms']['lce']:.3f}",
        f"{100 * row.mean:.2f}{spread}",
    ]


TABLES: Tables = {"systems": table}
