"""What more threads gain, op by op, and the most that they could gain on this machine.

    python -m benchmarks.speed.thread_gain model.tflite [...] [-o result.json]

In one interleaved run: the model with one thread and with several, where the delegate reads the
clock around each op; and two processes of one thread each, alone and both at once. What they
gain together is the most that two threads of one inference can hope for.

Other work on the machine spoils all of it. Where that cannot be stopped, start this as root
with `chrt -f 10` in front: then it goes first.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import result_files
from benchmarks.environment import environment
from benchmarks.errors import one_line_errors
from keras_sparsebnn.runtime.benchmark import BLOCK
from keras_sparsebnn.runtime.worker_process import WorkerProcess

Row = dict[str, Any]


def ceiling(model: str, blocks: int) -> float:
    """Inferences a second of two processes at once, one thread each, by those of one alone."""
    workers = [WorkerProcess(model, runtime="delegate", num_threads=1) for _ in range(2)]
    alone: list[float] = []
    both: list[float] = []
    try:
        with ThreadPoolExecutor(2) as pool:
            for block in range(1 + blocks):
                first = workers[block % 2].run(BLOCK)
                at_once = list(pool.map(lambda worker: worker.run(BLOCK), workers))
                if block:  # the first warms up
                    alone += first
                    both += at_once[0] + at_once[1]
    finally:
        for worker in workers:
            worker.close()
    return 2 * statistics.median(alone) / statistics.median(both)


def time_ops(model: str, threads: Sequence[int], blocks: int) -> tuple[Row, list[Row]]:
    """By number of threads: median milliseconds of an inference, microseconds of each op."""
    workers = {
        count: WorkerProcess(model, runtime="delegate", num_threads=count, profile=True)
        for count in threads
    }
    seconds: dict[int, list[float]] = defaultdict(list)
    ops: dict[int, list[list[float]]] = defaultdict(list)
    nodes: dict[int, list[Row]] = {}
    try:
        for worker in workers.values():
            worker.run(BLOCK)
        for _ in range(blocks):
            for count, worker in workers.items():
                worker.run(2)  # the others were here in between
                before = worker.profile()
                seconds[count] += worker.run(BLOCK)
                nodes[count] = worker.profile()
                ops[count].append(
                    [
                        1e-3 * (new["ns"] - old["ns"]) / BLOCK
                        for old, new in zip(before, nodes[count], strict=True)
                    ]
                )
    finally:
        for worker in workers.values():
            worker.close()
    total = {str(count): 1e3 * statistics.median(seconds[count]) for count in threads}
    medians = {
        count: [statistics.median(op) for op in zip(*ops[count], strict=True)]
        for count in threads
    }
    rows = []
    for i, node in enumerate(nodes[threads[0]]):
        if medians[threads[0]][i] == 0:  # in the same pass as another
            continue
        row = {name: node[name] for name in ("node", "op", "input", "output")}
        row["kernels"] = list(dict.fromkeys(nodes[count][i]["kernel"] for count in threads))
        row["us"] = {str(count): round(medians[count][i], 2) for count in threads}
        rows.append(row)
    return total, rows


def gains(times: Row) -> str:
    """As text: each time, and by how much it is shorter than the first."""
    first = next(iter(times.values()))
    return ", ".join(f"{count}: {t:.4g} ({first / t:.2f}x)" for count, t in times.items())


@one_line_errors()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", help=".tflite files with binary layers")
    parser.add_argument("--runs", type=int, default=200, help="inferences timed of each")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("-o", "--output", type=Path, help="write the figures there, too")
    args = parser.parse_args()
    header = environment()
    blocks = -(-args.runs // BLOCK)
    models = []
    for model in args.models:
        most = ceiling(model, blocks)
        total, rows = time_ops(model, args.threads, blocks)
        ours = {count: sum(row["us"][count] for row in rows) / 1e3 for count in total}
        rest = {count: total[count] - ours[count] for count in total}
        print(f"{model}: two processes at once do {most:.2f} times as much as one")
        print(f"  ms by threads: {gains(total)}")
        print(f"  of these the delegate's ops: {gains(ours)}; the rest: {gains(rest)}")
        for row in rows:
            shape = "x".join(map(str, row["output"]))
            kernels = ", ".join(row["kernels"])
            print(
                f"  us {row['node']:4} {row['op']:14} {shape:14} {gains(row['us'])}  {kernels}"
            )
        models.append(
            {"model": Path(model).name, "ceiling": round(most, 3), "ms": total, "ops": rows}
        )
    if args.output is not None:
        setting = {"runs": args.runs, "threads": args.threads}
        result = {"version": 1, "benchmark": "thread_gain", "environment": header}
        result_files.write(
            "thread_gain", result | {"setting": setting, "models": models}, args.output
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
