"""What whole networks cost on ARM cores, without ARM hardware. See docs/arm-networks.md.

    python -m benchmarks.arm.arm_network     # writes benchmarks/results/arm_network-<date>.json

Every network of benchmarks/speed/network_files.py runs in stock LiteRT on an emulated AArch64,
ours with the delegate. The instructions of one inference are counted, by library and by what
the delegate runs in one pass; windows of the stream are scheduled on six core models. Needs
Debian's qemu-user and llvm-19, and the sysroot of tests/arm (`python -m delegate.arm.sysroot`).
About 20 minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import result_files
from benchmarks.arm.arm_cost import lce_costs, lce_op
from benchmarks.arm.build import ROOT
from benchmarks.arm.emulated_network import STREAMS, Stream, missing, plugin, run
from benchmarks.arm.map_bytes import map_bytes
from benchmarks.arm.network_parts import Parts
from benchmarks.arm.op_cost import Case, estimate
from benchmarks.environment import environment
from benchmarks.speed.network_files import BINARY, VARIANTS, Network, write_files
from delegate.arm.architecture import AARCH64
from delegate.arm.sysroot import default_folder
from keras_sparsebnn.converters import inspect


def built_delegate(folder: Path) -> Path:
    """The delegate for AArch64, compiled as for its wheel."""
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", str(folder)]
    variables = {**os.environ, "SPARSEBNN_TARGET": "aarch64-linux"}
    subprocess.run(command, cwd=ROOT, env=variables, check=True)
    return folder / "keras_sparsebnn" / "runtime" / "libsparsebnn_delegate.so"


def lce_cycles(
    model: Path, costs: Mapping[str, Mapping[str, float]]
) -> tuple[int, dict[str, float]]:
    """How many binary convolutions a file has, and the cycles that LCE's would take, estimated.

    Raises:
        ValueError: one is not 3x3 or has groups, which the estimate is not made for.
    """
    total = dict.fromkeys(costs, 0.0)
    layers = inspect(model.read_bytes()).binary_layers
    for layer in layers:
        if layer.filter_shape[1:3] != (3, 3) or layer.groups != 1:
            raise ValueError(f"Expected 3x3 without groups, got {layer.filter_shape}.")
        _, height, width, channels = layer.output_shape
        output = "bitpacked" if layer.output_type == "bits" else "float32"
        case = Case(layer.input_shape[-1], channels, 512, height, width, output=output)
        for core, own in costs.items():
            total[core] += lce_op(case, dict(own)) * case.triples
    return len(layers), total


def measured(
    model: Path, stream: Stream, *, glue: bool, tools: Mapping[str, Path], windows: int
) -> dict[str, Any]:
    """One file on one processor: instructions by library, kind and pass; cycles by core."""
    done = run(
        model,
        stream,
        sysroot=tools["sysroot"],
        counter=tools["counter"],
        library=tools.get("library"),
        glue=glue,
        windows=windows,
    )
    parts = Parts(done)
    executed, taken = parts.by_kind(), parts.windows()
    cores = {}
    for core in stream.models:
        found = estimate(taken, executed, core)
        scale = found.cycles / sum(found.by_phase.values())  # so that parts add up
        cores[core] = {
            "cycles": round(found.cycles),
            "relative_error": round(found.relative_error, 4),
            "kinds": {kind: round(scale * own) for kind, own in found.by_phase.items()},
        }
    return {
        **{"stream": stream.name, "glue": glue, "instructions": sum(executed.values())},
        **{"libraries": parts.by_library(), "kinds": executed, "windows": len(taken)},
        **{"partitions": len(done.partitions), "cores": cores, "passes": parts.by_pass()},
    }


def lce_estimate(
    row: Mapping[str, Any], convolutions: Mapping[str, float]
) -> dict[str, dict[str, int]]:
    """LCE's whole network: what is not a binary convolution in a run without glue, and LCE's.

    Args:
        row: of `measured`, with glue=0, so that each float op is one of LiteRT's.
        convolutions: cycles of LCE's binary convolutions, by core.
    """
    found = {}
    for core, own in row["cores"].items():
        others = sum(c for kind, c in own["kinds"].items() if not kind.startswith("binary"))
        total = round(others + convolutions[core])
        found[core] = {"cycles": total, "of_which_binary": round(convolutions[core])}
    return found


def jobs_of(
    files: Mapping[str, tuple[Network, str]], streams: list[Stream]
) -> list[tuple[Path, Network, str, Stream, bool]]:
    """What to run: all files on out-of-order cores; of ours few on the others.

    These are LCE files, and with all int8 layers those on the A53: the emulated A55 has dot
    products, which A55 r0 has not. LCE files run without glue, too: LCE's estimate needs it.
    """
    return [
        (Path(path), network, form, stream, glue)
        for stream in streams
        for path, (network, form) in files.items()
        if stream.delegate != "in-order"
        or form not in VARIANTS
        or (form, stream.name) == ("layers", "cortex-a53")
        for glue in ((True, False) if form == "lce" else (True,))
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [stream.name for stream in STREAMS]
    parser.add_argument("--stream", choices=names, nargs="+", default=names)
    parser.add_argument("--windows", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--library", type=Path, help="the delegate, built for AArch64")
    parser.add_argument("--folder", type=Path, help="where the files are, or are left")
    parser.add_argument("--only", default="", help="files whose names begin so")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="default: results/...; - for none; a file that an interrupted run left: goes on",
    )
    args = parser.parse_args()
    sysroot = default_folder().resolve()
    if reason := missing(sysroot):
        print(f"arm_network: {reason}", file=sys.stderr)
        return 1
    header = environment()
    header["versions"]["ai-edge-litert"] = AARCH64.wheels[1].partition("==")[2]
    lce = lce_costs()
    with tempfile.TemporaryDirectory() as temporary:
        files = write_files(args.folder or Path(temporary))
        files = {p: own for p, own in files.items() if Path(p).name.startswith(args.only)}
        stock = {"sysroot": sysroot, "counter": plugin()}
        library = args.library or built_delegate(Path(temporary))
        streams = [stream for stream in STREAMS if stream.name in args.stream]

        def one(job: tuple[Path, Network, str, Stream, bool]) -> dict[str, Any]:
            path, network, form, stream, glue = job
            tools = {**stock, "library": library} if form in BINARY else stock
            row = measured(path, stream, glue=glue, tools=tools, windows=args.windows)
            row = {"network": network.name, "side": network.side, "form": form, **row}
            if not glue:
                row["lce"] = lce_estimate(row, lce_cycles(path, lce)[1])
            cycles = {core: f"{own['cycles'] / 1e6:.1f}" for core, own in row["cores"].items()}
            print(path.name, stream.name, f"glue={glue:d}", row["instructions"], cycles)
            sys.stdout.flush()
            return row

        result: dict[str, Any] = {
            "version": 1,
            "benchmark": "arm_network",
            "environment": header,
            "setting": {"windows": args.windows, "codewords": 32},
            "networks": [
                {"network": n.name, "side": n.side, "top1": n.top1, "source": n.source}
                for n in dict.fromkeys(network for network, _ in files.values())
            ],
            "lce": lce,
            "runs": known_runs(args.output, header["commit"], args.windows),
        }
        rows = result["runs"]
        known = {key_of(row) for row in rows}
        jobs = [
            (path, network, form, stream, glue)
            for path, network, form, stream, glue in jobs_of(files, streams)
            if (network.name, form, stream.name, glue) not in known
        ]
        with ThreadPoolExecutor(args.jobs) as pool:
            for row in pool.map(one, jobs):
                rows.append(row)
                if args.output and str(args.output) != "-":  # to go on from there
                    args.output.write_text(result_files.to_text(result), "utf-8")
        ran = {(row["network"], row["form"]) for row in rows}
        result["maps"] = [
            maps_of(path, network, form, rows)
            for path, (network, form) in files.items()
            if (network.name, form) in ran
        ]
    if str(args.output) != "-":
        result_files.write("arm_network", result, args.output)
    return 0


def key_of(row: Mapping[str, Any]) -> tuple[str, str, str, bool]:
    """What was run."""
    return row["network"], row["form"], row["stream"], row["glue"]


def known_runs(path: Path | None, commit: str, windows: int) -> list[dict[str, Any]]:
    """What an interrupted run of the same commit has left."""
    if path is None or not path.is_file():
        return []
    found = json.loads(path.read_text("utf-8"))
    same = (found["environment"]["commit"], found["setting"]["windows"]) == (commit, windows)
    return list(found["runs"]) if same else []


def maps_of(
    path: str, network: Network, form: str, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """Bytes of maps of a file with every op by itself, and in the passes that ran."""
    mine = (
        row
        for row in rows
        if (row["network"], row["form"], row["glue"]) == (network.name, form, True)
    )
    fused = [each["nodes"] for each in next(mine)["passes"] if len(each["nodes"]) > 1]
    return {
        **{"network": network.name, "side": network.side, "form": form},
        "apart": map_bytes(Path(path)),
        "fused": map_bytes(Path(path), fused),
    }


if __name__ == "__main__":
    raise SystemExit(main())
