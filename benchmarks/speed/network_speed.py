"""Whole networks: ours with the delegate, in LCE's interpreter, and what one would use instead.

    python -m benchmarks.speed.network_speed     # writes results/network_speed-<date>.json

Binary networks (ResNet-18 and QuickNet at 224x224, ResNet-20 and VGG-small at 32x32; n = 32, as
LCE file and as sub-bit file), int8 MobileNets, and ResNet-18 in int8 and float, these in stock
LiteRT. One interleaved run: every file in every runtime with every number of threads is a
process of its own, and they take turns in blocks of 10 inferences. Then the delegate with and
without the float ops between binary ones (`glue`), interleaved likewise.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import result_files
from benchmarks.environment import environment
from benchmarks.speed.network_files import Network, write_files
from keras_sparsebnn.runtime import benchmark, delegate_library
from keras_sparsebnn.runtime.benchmark import BLOCK
from keras_sparsebnn.runtime.delegate import DelegateOptions, profile_json
from keras_sparsebnn.runtime.stock_backend import import_stock
from keras_sparsebnn.runtime.worker_process import WorkerProcess


def time_networks(
    files: dict[str, tuple[Network, str]], threads: list[int], runs: int
) -> dict[str, list[dict[str, Any]]]:
    """For each number of threads a row for every file in every runtime that can run it."""
    rows: dict[str, list[dict[str, Any]]] = {str(count): [] for count in threads}
    for timing in benchmark(list(files), num_threads=threads, runs=runs, runtime="compare"):
        network, form = files[timing.model]
        row = {"network": network.name, "side": network.side, "form": form}
        row |= {name: value for name, value in timing.to_dict().items() if name != "model"}
        for name in ("first_ms", "median_ms", "p90_ms", "min_ms", "spread"):
            row[name] = round(row[name], 4)
        rows[str(timing.num_threads)].append(row)
    return rows


def time_glue(
    path: str, network: Network, threads: list[int], runs: int
) -> list[dict[str, Any]]:
    """One file with glue=0 and glue=1, a row for each number of threads."""
    workers = {
        (count, glue): WorkerProcess(path, glue=glue, runtime="delegate", num_threads=count)
        for count in threads
        for glue in (0, 1)
    }
    try:
        seconds: dict[tuple[int, int], list[float]] = {case: [] for case in workers}
        for block in range(1 + -(-runs // BLOCK)):
            for case, worker in workers.items():
                measured = worker.run(BLOCK)
                if block:  # the first warms up
                    seconds[case] += measured
    finally:
        for worker in workers.values():
            worker.close()
    parts = {str(glue): partitions(path, glue=bool(glue)) for glue in (0, 1)}
    return [
        {
            **{"network": network.name, "threads": count},
            "median_ms": {
                str(glue): round(1e3 * statistics.median(seconds[count, glue]), 4)
                for glue in (0, 1)
            },
            "partitions": parts,
        }
        for count in threads
    ]


def partitions(path: str, *, glue: bool) -> int:
    """Into how many runs of nodes the runtime parts what the delegate claims."""
    _, library = import_stock()
    options = DelegateOptions(glue=glue, profile=True).strings()
    delegate = library.load_delegate(str(delegate_library()), options)
    interpreter = library.Interpreter(model_path=path, experimental_delegates=[delegate])
    interpreter.allocate_tensors()
    return len(json.loads(profile_json(delegate))["partitions"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=50, help="inferences timed of each")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", type=Path, help="where the files are, or are left")
    parser.add_argument("-o", "--output", type=Path, help="default: results/...; - for none")
    args = parser.parse_args()
    header = environment()
    result: dict[str, Any] = {"version": 1, "benchmark": "network_speed", "environment": header}
    with tempfile.TemporaryDirectory() as temporary:
        files = write_files(args.folder or Path(temporary))
        header["load"] = {"before": os.getloadavg()}
        result["setting"] = {"runs": args.runs, "codewords": 32, "isa": "auto"}
        result["networks"] = [
            {
                "network": network.name,
                "side": network.side,
                "top1": network.top1,
                "source": network.source,
            }
            for network in dict.fromkeys(network for network, _ in files.values())
        ]
        result["runs"] = time_networks(files, args.threads, args.runs)
        for threads, rows in result["runs"].items():
            for row in rows:
                print(threads, row["network"], row["form"], row["runtime"], row["median_ms"])
        result["glue"] = [
            row
            for path, (network, form) in files.items()
            if form == "lce"
            for row in time_glue(path, network, args.threads, args.runs)
        ]
        header["load"]["after"] = os.getloadavg()
    if str(args.output) != "-":
        result_files.write("network_speed", result, args.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
