"""The table of benchmarks/accuracy/int8_layers.json: what int8 layers change in accuracy."""

from __future__ import annotations

import json

from docs.generate.accuracy import RECORDS
from docs.generate.pages import Tables, commit, markdown


def table() -> str:
    result = json.loads((RECORDS / "int8_layers.json").read_text("utf-8"))
    rows = [
        [
            f"`{row['network']}`",
            ", ".join(row["layers"]) or "none",
            f"{100 * row['test_accuracy']:.2f}",
            f"{100 * row['other_classes']:.1f}" if row["layers"] else "",
        ]
        for row in result["runs"]
    ]
    header = ["network", "layers in int8", "test accuracy [%]", "other classes than float [%]"]
    environment = result["environment"]
    (images,) = {row["images"] for row in result["runs"]}
    return (
        f"{markdown(header, rows)}\n\n{images:,} test images, calibrated with "
        f"{result['setting']['calibrated']} training images. "
        f"`python -m benchmarks.accuracy.int8_layers`, {environment['date']}, "
        f"{commit(environment['commit'])}."
    )


TABLES: Tables = {"int8_layers": table}
