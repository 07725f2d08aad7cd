"""`sparsebnn benchmark`: latency and memory of .tflite files."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from typing import TYPE_CHECKING

from keras_sparsebnn.text_table import aligned

if TYPE_CHECKING:
    from keras_sparsebnn.runtime import Timing

__all__ = ["add_arguments", "run"]

# Kept apart from runtime.RUNTIMES so that --help need not import NumPy; a test compares them.
RUNTIMES = ("auto", "lce", "litert")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's options."""
    parser.add_argument(
        "models", nargs="+", metavar="model.tflite", help="one or more files, interleaved"
    )
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default="auto",
        help="auto: LCE's interpreter for files with LCE ops, else LiteRT (default)",
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument(
        "--runs", type=int, default=50, metavar="N", help="timed inferences (default 50)"
    )
    parser.add_argument(
        "--warmup", type=int, default=10, metavar="N", help="inferences before (default 10)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measures and prints."""
    from keras_sparsebnn.runtime import benchmark

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{done}/{total} inferences", end=end, file=sys.stderr, flush=True)

    timings = benchmark(
        args.models,
        num_threads=args.threads,
        runs=args.runs,
        warmup=args.warmup,
        runtime=args.runtime,
        progress=progress,
    )
    if args.json:
        machine = {"machine": platform.machine(), "platform": platform.platform()}
        print(json.dumps({**machine, "timings": [t.to_dict() for t in timings]}, indent=2))
    else:
        print(_table(timings))
    return 0


def _table(timings: list[Timing]) -> str:
    rows = [["model", "runtime", "median ms", "p90 ms", "min ms", "spread", "first ms", "peak"]]
    for t in timings:
        peak = "-" if t.peak_memory_bytes is None else f"{t.peak_memory_bytes / 2**20:.1f} MiB"
        numbers = (f"{ms:.3f}" for ms in (t.median_ms, t.p90_ms, t.min_ms))
        rows.append(
            [t.model, t.runtime, *numbers, f"{t.spread:.1%}", f"{t.first_ms:.3f}", peak]
        )
    lines = aligned(rows)
    first = timings[0]
    lines += [
        "",
        f"{first.runs} runs after {first.warmup} warm-up runs, {first.num_threads} thread(s), "
        f"{platform.machine()}; spread = interquartile range / median.",
    ]
    if platform.machine().lower() in ("x86_64", "amd64") and any(
        t.runtime == "lce" for t in timings
    ):
        lines.append("LCE has no optimised kernels for x86: measure on the target device.")
    return "\n".join(lines)
