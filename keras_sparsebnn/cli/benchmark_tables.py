"""The tables of `sparsebnn benchmark`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_sparsebnn._text_table import aligned

__all__ = ["layer_table", "timing_table"]

_X86 = ("x86_64", "amd64")


def timing_table(reports: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Timings of reports, and what they mean.

    Args:
        reports: device and report (`runtime.report.measure`); a device of "" has no column.
    """
    named = any(device for device, _ in reports)
    head = ["model", "runtime", "median ms", "p90 ms", "min ms", "spread", "first ms", "peak"]
    rows = [[*(["device"] if named else []), *head, "speed / LCE"]]
    for device, report in reports:
        rows += [[*([device] if named else []), *_cells(t)] for t in report["timings"]]
    lines = aligned(rows, left=3 if named else 2)
    machines = dict.fromkeys(report["machine"] for _, report in reports)
    first = reports[0][1]["timings"][0]
    lines += [
        "",
        f"{first['runs']} runs after {first['warmup']} warm-up runs, {first['num_threads']} "
        f"thread(s), {', '.join(machines)}; spread = interquartile range / median.",
    ]
    if any(
        report["machine"].lower() in _X86 and timing["runtime"] == "lce"
        for _, report in reports
        for timing in report["timings"]
    ):
        lines.append("LCE has no optimised kernels for x86: measure on the target device.")
    return "\n".join(lines)


def _cells(timing: Mapping[str, Any]) -> list[str]:
    peak, speedup = timing["peak_memory_bytes"], timing["speedup_over_lce"]
    return [
        timing["model"],
        timing["runtime"],
        *(f"{timing[name]:.3f}" for name in ("median_ms", "p90_ms", "min_ms")),
        f"{timing['spread']:.1%}",
        f"{timing['first_ms']:.3f}",
        "-" if peak is None else f"{peak / 2**20:.1f} MiB",
        "-" if speedup is None else f"{speedup:.2f}",
    ]


def layer_table(model: str, nodes: Sequence[Mapping[str, Any]]) -> str:
    """The nodes of a model that the delegate runs, and their shares."""
    total = sum(node["mean_ms"] for node in nodes)
    rows = [["node", "op", "input", "output", "kernel", "mean ms", "share"]]
    for node in nodes:
        shapes = (node["input_shape"], node["output_shape"])
        rows.append(
            [
                str(node["node"]),
                node["op"],
                *("x".join(map(str, shape)) for shape in shapes),
                node["kernel"],
                f"{node['mean_ms']:.4f}",
                f"{node['mean_ms'] / total if total else 0.0:.1%}",
            ]
        )
    return "\n".join(
        [
            f"Nodes of {model} that the delegate runs:",
            *aligned(rows, left=5),
            f"together {total:.3f} ms; everything else is the interpreter's own.",
        ]
    )
