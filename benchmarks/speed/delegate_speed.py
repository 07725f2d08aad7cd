"""Speed of the delegate in stock LiteRT against LCE's interpreter, same files, same run.

    python -m benchmarks.speed.delegate_speed    # writes results/delegate_speed-<date>.json
    python -m benchmarks.speed.delegate_speed --only ops --runs 30 "28 28 128 128 3 1 32 float"

Ops: each layer of shapes/delegate_speed.txt alone, one thread. Networks: a ResNet-18, 224x224,
as LCE file and as sub-bit file, with the peak memory of each process, for every instruction
set. Every runtime is a process of its own; they take turns in blocks of 10 inferences. What is
timed is `predict`, which everybody calls: inputs are copied in and outputs out, by both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import result_files
from benchmarks.environment import environment
from benchmarks.speed.bconv2d_file import Layer, bconv2d_file
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import benchmark, profile
from keras_sparsebnn.runtime.benchmark import BLOCK
from keras_sparsebnn.runtime.interpreter import Interpreter
from keras_sparsebnn.runtime.worker_process import WorkerProcess

ISAS = ("avx512", "avx2", "neon")
KERNELS = ("auto", "codebook", "xnor")


def usable_isas(model: bytes) -> list[str]:
    """Those of this machine, the one that is chosen first."""
    usable = []
    for isa in ISAS:
        try:
            Interpreter(model, runtime="delegate", isa=isa)
        except SparseBNNError:
            continue
        usable.append(isa)
    return usable


def check(model: bytes, options: list[dict[str, str]]) -> None:
    """All runtimes agree, so that all of them do the work."""
    x = np.random.default_rng(1).integers(-(2**31), 2**31, size=(1,), dtype=np.int64)
    expected = None
    for each in options:
        interpreter = Interpreter(model, **each)
        rng = np.random.default_rng(abs(int(x[0])))
        inputs = rng.integers(-(2**31), 2**31, interpreter.input_shapes[0]).astype(np.int32)
        output = interpreter.predict(inputs)
        expected = output if expected is None else expected
        np.testing.assert_array_max_ulp(output, expected, maxulp=1)


def time_op(layer: Layer, isas: list[str], folder: Path, runs: int) -> dict[str, Any]:
    """Median microseconds of LCE's interpreter and of every kernel pin."""
    flat = bconv2d_file(layer)
    path = folder / "op.tflite"
    path.write_bytes(flat)
    pins = {f"{isa} {k}": {"isa": isa, "kernel": k} for isa in isas for k in KERNELS}
    runtimes = {"lce": {"runtime": "lce"}}
    runtimes |= {name: {"runtime": "delegate", **pin} for name, pin in pins.items()}
    check(flat, list(runtimes.values()))
    workers = {name: WorkerProcess(str(path), **each) for name, each in runtimes.items()}
    try:
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        for block in range(1 + -(-runs // BLOCK)):
            for name, worker in workers.items():
                # The delegate's blocks are shorter by far: more of them, to be as long.
                measured = worker.run(BLOCK if name == "lce" else 5 * BLOCK)
                if block:  # the first warms up
                    seconds[name] += measured
    finally:
        for worker in workers.values():
            worker.close()
    median = {name: 1e6 * statistics.median(each) for name, each in seconds.items()}
    chosen = {}
    for isa in isas:
        interpreter = Interpreter(flat, runtime="delegate", isa=isa, profile=True)
        (node,) = interpreter.profile()
        chosen[isa] = node["kernel"]
    return {
        **vars(layer),
        "macs": layer.macs,
        "median_us": {name: round(us, 2) for name, us in median.items()},
        "fastest_us": {name: round(1e6 * min(each), 2) for name, each in seconds.items()},
        "times_lce": {name: round(median["lce"] / us, 2) for name, us in median.items()},
        "chosen": chosen,
    }


def network_files(folder: Path, shape: dict[str, int]) -> dict[str, Path]:
    """ResNet-18 as LCE file and as sub-bit file."""
    # TensorFlow, so only when needed.
    from benchmarks.speed.file_size import model
    from keras_sparsebnn.converters import convert_keras_model

    made = model(argparse.Namespace(**shape))
    files = {}
    for format in ("lce", "subbit"):
        files[format] = folder / f"{format}.tflite"
        files[format].write_bytes(convert_keras_model(made, format))
    return files


def time_networks(files: dict[str, Path], isa: str, threads: int, runs: int) -> dict[str, Any]:
    """Every file in every runtime that can run it."""
    os.environ["SPARSEBNN_ISA"] = isa  # of the worker processes
    names = {str(path): format for format, path in files.items()}
    timings = benchmark(list(names), num_threads=threads, runs=runs, runtime="compare")
    (lce,) = (t.median_ms for t in timings if t.runtime == "lce")
    rows = []
    for t in timings:
        row = t.to_dict()
        row["model"] = names[t.model]
        row["times_lce"] = round(lce / t.median_ms, 3)
        rows.append(row)
    nodes = profile(files["lce"], num_threads=threads, runs=runs)
    return {
        "isa": isa,
        "threads": threads,
        "timings": rows,
        "binary_ops_ms": round(sum(node.mean_ms for node in nodes), 3),
        "nodes": [node.to_dict() for node in nodes],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("layers", nargs="*", help="lines as in shapes/delegate_speed.txt")
    parser.add_argument("--only", choices=("ops", "networks"))
    parser.add_argument("--runs", type=int, default=100, help="of LCE; the delegate: 5 times")
    parser.add_argument("--network-runs", type=int, default=50)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of networks")
    parser.add_argument("-o", "--output", type=Path, help="default: results/...; - for none")
    args = parser.parse_args()
    layers = [Layer.read(line) for line in args.layers or result_files.shapes("delegate_speed")]
    header = environment()
    header["load"] = {"before": os.getloadavg()}
    result: dict[str, Any] = {
        "version": 1,
        "benchmark": "delegate_speed",
        "environment": header,
        "setting": {"runs": args.runs, "network_runs": args.network_runs, "op_threads": 1},
        "ops": [],
        "networks": {},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        isas = usable_isas(bconv2d_file(layers[0]))
        if args.only != "networks":
            for layer in layers:
                timed = time_op(layer, isas, folder, args.runs)
                print(vars(layer), timed["times_lce"], timed["chosen"], flush=True)
                result["ops"].append(timed)
        if args.only != "ops":
            shape = {"size": 224, "classes": 1000, "codewords": 32}
            files = network_files(folder, shape)
            runs = [
                time_networks(files, isa, threads, args.network_runs)
                for isa in isas
                for threads in args.threads
            ]
            result["networks"] = {"model": {"name": "resnet18", **shape}, "runs": runs}
            for run in runs:
                for row in run["timings"]:
                    print(run["isa"], run["threads"], row, flush=True)
    header["load"]["after"] = os.getloadavg()
    if str(args.output) != "-":
        result_files.write("delegate_speed", result, args.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
