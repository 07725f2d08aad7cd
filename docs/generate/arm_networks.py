"""Whole networks on ARM, from the newest benchmarks/results/arm_network-*.json."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.result_files import newest
from docs.generate.pages import Tables, commit, markdown
from docs.generate.whole_networks import FORMS

BINARY = ("lce", "subbit", "stem")
PARTS = ("ResNet-18, binary", "QuickNet, binary")
# Cores by the names that the tables have for them.
SHORT = {
    **{"cortex-a53": "A53", "cortex-a55": "A55 r0", "cortex-a72": "A72"},
    **{"neoverse-n1": "N1", "neoverse-v1": "V1", "neoverse-n2": "N2"},
}


def source(result: dict[str, Any]) -> str:
    """Where the numbers come from, below each table."""
    environment = result["environment"]
    versions = environment["versions"]
    return (
        f"`python -m benchmarks.arm.arm_network`, {environment['date']}, LiteRT "
        f"{versions['ai-edge-litert']}, {commit(environment['commit'])}"
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
    table = []
    for run in result["runs"]:
        if (run["stream"], run["form"], run["glue"]) != ("cortex-a72", "lce", True):
            continue
        if run["network"] not in PARTS:
            continue
        own = run["cores"]["cortex-a72"]
        for kind, cycles in sorted(own["kinds"].items(), key=lambda pair: -pair[1]):
            table.append(
                [
                    f"{run['network']}: {kind}",
                    _number(run["kinds"][kind] / 1e6),
                    _number(cycles / 1e6),
                    f"{100 * cycles / own['cycles']:.0f} %",
                ]
            )
    header = ["part", "instructions [M]", "A72, cycles [M]", "share of cycles"]
    return (
        f"{markdown(header, table)}\n\nLCE files. A binary layer includes the float ops that "
        "run in the same pass. `stock` is LiteRT's: before the first binary layer, between "
        f"them, after the last. {source(result)}."
    )


def moved() -> str:
    result = newest("arm_network")
    table = []
    for maps in result["maps"]:
        if maps["form"] in ("subbit", "stem"):
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


def stem() -> str:
    """ResNet-18, its stem in XNNPACK (from the record of all networks) and in the delegate."""
    result = newest("arm_stem")
    before = newest("arm_network")

    def rows(record: dict[str, Any], glue: bool) -> dict[str, tuple[Any, Any]]:
        return {
            core: (run, own)
            for run in record["runs"]
            if (run["network"], run["form"], run["glue"]) == (PARTS[0], "lce", glue)
            for core, own in run["cores"].items()
        }

    apart, theirs, ours = rows(result, False), rows(before, True), rows(result, True)
    table = []
    for core in (core for core in SHORT if core in ours and core in apart):
        (run, own), (old, old_own) = ours[core], theirs[core]
        lce = apart[core][0]["lce"][core]["cycles"]
        row = [old["instructions"], run["instructions"], own["kinds"]["stem"], lce]
        row += [old_own["cycles"], own["cycles"]]
        fewer = f"{own['cycles'] / old_own['cycles']:.2f} / {own['cycles'] / lce:.2f}"
        table.append([SHORT[core], *(_number(value / 1e6) for value in row), fewer])
    header = ["core", "instructions, stem in XNNPACK", "in the delegate"]
    header += ["cycles of the delegate's stem", "cycles, LCE estimated", "stem in XNNPACK"]
    header += ["in the delegate", "of XNNPACK's / of LCE's"]
    return (
        f"{markdown(header, table)}\n\nMillions, one inference of ResNet-18's LCE file. Stem "
        f'in XNNPACK: {source(before)}. All else: with `--only "ResNet-18, binary"`, '
        f"{source(result)}."
    )


def draw(path: Path) -> None:
    """Accuracy against modelled cycles, of the networks at 224x224."""
    # Here, because tables need no Matplotlib.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    styles = {
        "delegate": ("o", "#D55E00"),
        "LCE, estimated": ("s", "#999999"),
        "LiteRT": ("^", "#0072B2"),
    }
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
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
            if row["side"] != 224 or row["form"] in ("subbit", "stem"):
                continue
            if row["runtime"] not in styles or core not in row["cycles"]:
                continue
            marker, colour = styles[row["runtime"]]
            place = (row["cycles"][core], row["top1"])
            axes.plot(*place, marker, color=colour, ms=6)
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
    **{"arm_parts": parts, "arm_maps": moved, "arm_stem": stem},
}
