"""Whole networks on ARM, from the newest benchmarks/results/arm_network-*.json."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.result_files import newest
from benchmarks.speed.network_files import BINARY, VARIANTS
from docs.generate.pages import Tables, commit, markdown
from docs.generate.whole_networks import FORMS
from keras_sparsebnn.analysis.plots import COLOURS, GREY, new_figure

PARTS = ("ResNet-18, binary", "QuickNet, binary")
RUNTIMES = ("delegate", "LCE, estimated")
# Cores by the names that the tables have for them.
SHORT = {
    **{"cortex-a53": "A53", "cortex-a55": "A55 r0", "cortex-a72": "A72"},
    **{"neoverse-n1": "N1", "neoverse-v1": "V1", "neoverse-n2": "N2"},
}


def source(result: dict[str, Any]) -> str:
    """Where the numbers come from, below each table."""
    environment = result["environment"]
    versions = environment["versions"]
    older = sorted({run["commit"] for run in result["runs"] if "commit" in run})
    return (
        f"`python -m benchmarks.arm.arm_network`, {environment['date']}, LiteRT "
        f"{versions['ai-edge-litert']}, {commit(environment['commit'])}"
        + "".join(f"; some runs: {commit(name)}" for name in older)
    )


def rows_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for every file, and for LCE's estimate: instructions by stream, cycles by core."""
    networks = {(n["network"], n["side"]): n for n in result["networks"]}
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for run in result["runs"]:
        network = networks[run["network"], run["side"]]
        runtime = "delegate" if run["form"] in BINARY else "LiteRT"
        if not run["glue"]:
            runtime = "delegate, glue=0"
        row = rows.setdefault(
            (run["network"], run["form"], runtime),
            {**network, "form": run["form"], "runtime": runtime, "millions": {}, "cycles": {}},
        )
        row["millions"][run["stream"]] = run["instructions"] / 1e6
        row["cycles"] |= {core: own["cycles"] / 1e6 for core, own in run["cores"].items()}
        if "lce" not in run:
            continue
        row = rows.setdefault(
            (run["network"], run["form"], "LCE, estimated"),
            {**row, "runtime": "LCE, estimated", "millions": {}, "cycles": {}},
        )
        row["cycles"] |= {core: own["cycles"] / 1e6 for core, own in run["lce"].items()}
    return list(rows.values())


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def arm_networks() -> str:
    result = newest("arm_network")
    rows = rows_of(result)
    streams = [
        s for s in ("cortex-a72", "neoverse-n1") if any(s in r["millions"] for r in rows)
    ]
    cores = [core for core in SHORT if any(core in row["cycles"] for row in rows)]
    table = [
        [
            f"{row['network']}, {row['side']}x{row['side']}",
            FORMS[row["form"]],
            row["runtime"],
            f"{row['top1']:.1f}",
            *(_number(row["millions"].get(stream)) for stream in streams),
            *(_number(row["cycles"].get(core)) for core in cores),
        ]
        for row in rows
    ]
    header = ["network", "file", "runtime", "top-1 [%]"]
    header += [f"{SHORT[stream]}, instructions" for stream in streams]
    header += [f"{SHORT[core]}, cycles" for core in cores]
    errors = [own["relative_error"] for run in result["runs"] for own in run["cores"].values()]
    middle, largest = 100 * statistics.median(errors), 100 * max(errors)
    return (
        f"{markdown(header, table)}\n\nMillions, one inference of one image, one thread. "
        f"Standard error of the cycles' sampling: median {middle:.1f} %, at most "
        f"{largest:.1f} %. Top-1 is published accuracy, sources in whole-networks.md. "
        f"{source(result)}."
    )


def libraries() -> str:
    result = newest("arm_network")
    table = []
    for run in result["runs"]:
        if run["stream"] != "cortex-a72":
            continue
        own = run["libraries"]
        table.append(
            [
                f"{run['network']}, {run['side']}x{run['side']}, {FORMS[run['form']]}"
                + ("" if run["glue"] else ", glue=0"),
                *(_number(own[name] / 1e6) for name in ("delegate", "litert", "rest")),
                str(run["partitions"]),
            ]
        )
    header = ["file", "delegate", "LiteRT with XNNPACK", "rest", "the delegate's partitions"]
    shown = markdown(header, table)
    return f"{shown}\n\nMillions of instructions on Cortex-A72. {source(result)}."


def parts() -> str:
    result = newest("arm_network")
    runs = {
        (run["network"], run["stream"]): run
        for run in result["runs"]
        if (run["form"], run["glue"]) == ("lce", True) and run["network"] in PARTS
    }
    streams = [s for s in ("cortex-a72", "neoverse-n1") if any(s == key[1] for key in runs)]
    table = []
    for name in (name for name in PARTS if (name, streams[0]) in runs):
        first = runs[name, streams[0]]
        kinds = first["cores"][streams[0]]["kinds"]
        for kind in sorted(kinds, key=lambda kind: -kinds[kind]):
            row = [f"{name}: {kind}"]
            for stream in streams:
                run = runs[name, stream]
                own = run["cores"][stream]
                cycles = own["kinds"].get(kind, 0)
                row += [_number(run["kinds"].get(kind, 0) / 1e6), _number(cycles / 1e6)]
                row.append(f"{100 * cycles / own['cycles']:.0f} %")
            table.append(row)
    header = ["part"]
    for stream in streams:
        header += [f"{SHORT[stream]}, instructions", "cycles", "share of cycles"]
    return (
        f"{markdown(header, table)}\n\nMillions. LCE files. A binary layer includes the float "
        "ops that run in the same pass. `stock` is LiteRT's: before the first binary layer, "
        f"between them, after the last. {source(result)}."
    )


def moved() -> str:
    result = newest("arm_network")
    table = []
    for maps in result["maps"]:
        if maps["form"] in VARIANTS:
            continue
        totals = [sum(maps[name]["float"].values()) / 1e6 for name in ("apart", "fused")]
        others = sum(maps["fused"]["other"].values()) / 1e6
        fraction = f"{totals[1] / totals[0]:.2f}" if totals[0] else ""
        name = f"{maps['network']}, {maps['side']}x{maps['side']}, {FORMS[maps['form']]}"
        table.append([name, *(f"{total:.2f}" for total in totals), fraction, f"{others:.2f}"])
    header = ["file", "float, each op by itself", "float, as it runs", "ratio", "bits and int8"]
    return (
        f"{markdown(header, table)}\n\nMegabytes (10^6) read and written, one inference. "
        f"{source(result)}."
    )


def targets() -> str:
    """What was aimed at, and whether it is reached."""
    result = newest("arm_network")
    rows = {(r["network"], r["form"], r["runtime"]): r for r in rows_of(result)}
    resnet, quicknet = ({t: rows[name, "lce", t] for t in RUNTIMES} for name in PARTS)
    int8 = {name: rows[name, "layers", "delegate"] for name in PARTS}
    table = []

    def line(what: str, aim: float, found: float, unit: str = "") -> None:
        reached = "yes" if found <= aim else "no"
        table.append([what, f"at most {aim:.4g}{unit}", f"{found:.3g}{unit}", reached])

    for name, network, aims in ((PARTS[0], resnet, (70, 55)), (PARTS[1], quicknet, (48, 40))):
        for stream, aim in zip(("cortex-a72", "neoverse-n1"), aims, strict=True):
            found = network["delegate"]["millions"][stream]
            line(f"{name}, {SHORT[stream]}, instructions", aim, found, " M")
            found = int8[name]["millions"][stream]
            line(f"{name}, int8 layers, {SHORT[stream]}, instructions", aim, found, " M")
    core = "cortex-a72"
    for peer in ("MobileNet v1 0.5", "MobileNetV2 0.5"):
        ratio = (
            quicknet["delegate"]["cycles"][core] / rows[peer, "int8", "LiteRT"]["cycles"][core]
        )
        line(f"QuickNet, A72, cycles by those of int8 {peer}", 1, ratio)
    for name, network in zip(PARTS, (resnet, quicknet), strict=True):
        ratio = network["delegate"]["cycles"][core] / network["LCE, estimated"]["cycles"][core]
        line(f"{name}, A72, cycles by those of LCE, estimated", 0.9, ratio)
        ratio = int8[name]["cycles"][core] / network["LCE, estimated"]["cycles"][core]
        line(f"{name}, int8 layers, likewise, LCE's in float", 0.9, ratio)
    maps = next(m for m in result["maps"] if (m["network"], m["form"]) == (PARTS[0], "lce"))
    apart, fused = (sum(maps[way]["float"].values()) for way in ("apart", "fused"))
    line("ResNet-18, bytes of float maps, by those of ops one by one", 0.333, fused / apart)
    return f"{markdown(['', 'aim', 'counted', 'reached'], table)}\n\n{source(result)}."


def draw(path: Path) -> None:
    """Accuracy against modelled cycles, of the networks at 224x224."""
    styles = {
        "delegate": ("o", COLOURS[1]),
        "LCE, estimated": ("s", GREY),
        "LiteRT": ("^", COLOURS[0]),
    }
    figure = new_figure(9, 4)
    cores = {
        "cortex-a72": "Cortex-A72 (Raspberry Pi 4)",
        "neoverse-n1": "Neoverse N1 (the Pi 5's A76 is nearly the same)",
    }
    rows = rows_of(newest("arm_network"))
    for axes, (core, title) in zip(
        figure.subplots(1, 2, sharey=True), cores.items(), strict=True
    ):
        for row in rows:
            # A network's other files lie on one another.
            if row["side"] != 224 or row["form"] in VARIANTS:
                continue
            if row["runtime"] not in styles or core not in row["cycles"]:
                continue
            marker, colour = styles[row["runtime"]]
            place = (row["cycles"][core], row["top1"])
            # Ours on top, where it is hardly told from LCE.
            axes.plot(
                *place, marker, color=colour, ms=6, zorder=2 + (row["runtime"] == "delegate")
            )
            if row["runtime"].startswith("LCE"):  # beside ours, which has the name
                continue
            name = f"{row['network'].removesuffix(', binary')}, {FORMS[row['form']]}"
            below = row["runtime"] == "delegate" or row["form"] == "float"
            # Above or below the marker, where no other one is.
            axes.annotate(
                name,
                place,
                (0, -13 if below else 7),
                textcoords="offset points",
                fontsize=7,
                ha="center",
            )
        axes.set_xscale("log")
        axes.set_xticks((10, 20, 50, 100, 200, 500), (10, 20, 50, 100, 200, 500))
        axes.set_xticks((), minor=True)
        axes.set_xlim(4, 1500)
        axes.set_ylim(61, 73)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("modelled cycles [M], one thread")
        axes.grid(which="both", color="0.92")
    axes = figure.axes[0]
    axes.set_ylabel("published ImageNet top-1 [%]")
    for label, (marker, colour) in styles.items():
        axes.plot([], [], marker, color=colour, label=label)
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=110, facecolor="white")


TABLES: Tables = {
    **{"arm_networks": arm_networks, "arm_libraries": libraries},
    **{"arm_parts": parts, "arm_maps": moved, "arm_targets": targets},
}
