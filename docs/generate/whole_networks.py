"""Whole networks, from the newest benchmarks/results/network_speed-*.json: table and figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.result_files import newest
from benchmarks.speed.network_files import VARIANTS
from docs.generate.pages import Tables, markdown
from docs.generate.speed import source
from keras_sparsebnn.analysis.plots import COLOURS, GREY, new_figure

RUNTIMES = {"lce": "LCE's interpreter", "litert": "LiteRT", "delegate on litert": "delegate"}
FORMS = {
    **{"lce": "LCE", "subbit": "sub-bit", "subbit_int8": "sub-bit, int8 weights"},
    **{"stem": "LCE, int8 stem", "layers": "LCE, int8 layers"},
    **{"int8": "int8", "float": "float"},
}


def rows_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for every file in every runtime: its network, and milliseconds by threads."""
    networks = {(n["network"], n["side"]): n for n in result["networks"]}
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for threads, timings in result["runs"].items():
        for timing in timings:
            network = networks[timing["network"], timing["side"]]
            key = (timing["network"], timing["form"], timing["runtime"])
            row = rows.setdefault(key, {**network, **timing, "ms": {}, "peak": {}})
            row["ms"][int(threads)] = timing["median_ms"]
            row["peak"][int(threads)] = timing["peak_memory_bytes"]
    return list(rows.values())


def whole_networks() -> str:
    result = newest("network_speed")
    threads = [int(count) for count in result["runs"]]
    table = []
    for row in rows_of(result):
        ms = row["ms"]
        gains = [f"{ms[1] / ms[count]:.2f}x" for count in threads if count > 1]
        table.append(
            [
                f"{row['network']}, {row['side']}x{row['side']}",
                FORMS[row["form"]],
                RUNTIMES[row["runtime"]],
                f"{row['top1']:.1f}",
                *(f"{ms[count]:.2f}" for count in threads),
                *gains,
                f"{row['peak'][1] / 2**20:.1f}",
            ]
        )
    header = ["network", "file", "runtime", "top-1 [%]"]
    header += [f"{count} thread{'s' * (count > 1)} [ms]" for count in threads]
    header += [f"gain of {count}" for count in threads if count > 1]
    sources = "; ".join(
        f"{n['network']}: {n['top1']:.1f} ({n['source']})" for n in result["networks"]
    )
    return (
        f"{markdown([*header, 'memory [MiB]'], table)}\n\nMedians of "
        f"{result['setting']['runs']} inferences of one image, interleaved. Memory: by how "
        "much the model raises the peak of its process, one thread. Top-1 is published "
        f"accuracy, ImageNet at 224x224, CIFAR-10 at 32x32: {sources}. "
        f"{source(result, 'network_speed')}."
    )


def glue() -> str:
    result = newest("network_speed")
    rows = []
    for row in result["glue"]:
        without, with_it = row["median_ms"]["0"], row["median_ms"]["1"]
        threads = f"{row['threads']} thread{'s' * (row['threads'] > 1)}"
        partitions = " -> ".join(f"{row['partitions'][option]}" for option in ("0", "1"))
        rows.append(
            [
                f"{row['network']}, {threads}",
                f"{without:.2f} ms",
                f"{with_it:.2f} ms",
                f"{without / with_it:.2f}x",
                partitions,
            ]
        )
    header = ["LCE file", "glue=0", "glue=1", "gain", "the delegate's partitions"]
    return (
        f"{markdown(header, rows)}\n\nMedians, both interleaved. "
        f"{source(result, 'network_speed')}."
    )


def draw(path: Path) -> None:
    """Accuracy against latency, of the networks at 224x224, one thread."""
    styles = {"lce": ("s", GREY), "delegate on litert": ("o", COLOURS[1])}
    figure = new_figure(7, 4)
    axes = figure.subplots()
    for row in rows_of(newest("network_speed")):
        # The files of a binary network lie on one another.
        if row["side"] != 224 or row["form"] in VARIANTS:
            continue
        marker, colour = styles.get(row["runtime"], ("^", COLOURS[0]))
        axes.plot(row["ms"][1], row["top1"], marker, color=colour, ms=6)
        name = f"{row['network'].removesuffix(', binary')}, {FORMS[row['form']]}"
        axes.annotate(
            name,
            (row["ms"][1], row["top1"]),
            (5, -10 if marker == "o" else 4),
            textcoords="offset points",
            fontsize=7,
        )
    for label, (marker, colour) in {
        "binary, delegate": styles["delegate on litert"],
        "binary, LCE's interpreter": styles["lce"],
        "stock LiteRT": ("^", COLOURS[0]),
    }.items():
        axes.plot([], [], marker, color=colour, label=label)
    axes.set_xscale("log")
    axes.set_xlim(right=2.2 * axes.get_xlim()[1])  # room for the names
    axes.set_xlabel("milliseconds, one thread")
    axes.set_ylabel("published ImageNet top-1 [%]")
    axes.grid(which="both", color="0.92")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110, facecolor="white")


TABLES: Tables = {"whole_networks": whole_networks, "glue": glue}
