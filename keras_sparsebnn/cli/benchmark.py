"""`sparsebnn benchmark`: latency and memory of .tflite files."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from typing import TYPE_CHECKING

from keras_sparsebnn._rules import RUNTIMES
from keras_sparsebnn._text_table import aligned

if TYPE_CHECKING:
    from keras_sparsebnn.runtime import NodeTiming, Timing

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's options."""
    parser.add_argument(
        "models", nargs="+", metavar="model.tflite", help="one or more files, interleaved"
    )
    parser.add_argument(
        "--runtime",
        choices=("compare", *RUNTIMES),
        default="compare",
        help="delegate: stock TFLite with the native library; lce: LCE's interpreter; litert: "
        "stock TFLite alone; auto: one of these; compare: auto, and beside it lce where that "
        "is installed and knows the file (default)",
    )
    parser.add_argument(
        "--threads", "--num-threads", type=int, default=1, metavar="N", help="default 1"
    )
    parser.add_argument(
        "--runs", type=int, default=50, metavar="N", help="timed inferences (default 50)"
    )
    parser.add_argument(
        "--warmup", type=int, default=10, metavar="N", help="inferences before (default 10)"
    )
    parser.add_argument(
        "--no-glue",
        action="store_true",
        help="the delegate leaves the float ops between binary ones to the runtime",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measures and prints."""
    from keras_sparsebnn.runtime import benchmark, profile

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
        glue=not args.no_glue,
        progress=progress,
    )
    # Apart from the timing, which it would slow.
    layers = {
        t.model: profile(
            t.model,
            num_threads=args.threads,
            runs=args.runs,
            warmup=args.warmup,
            glue=not args.no_glue,
        )
        for t in timings
        if t.runtime.startswith("delegate")
    }
    if args.json:
        report = {
            "machine": platform.machine(),
            "platform": platform.platform(),
            "timings": [
                {**t.to_dict(), "speedup_over_lce": _speedup(t, timings)} for t in timings
            ],
            "layers": {model: [n.to_dict() for n in nodes] for model, nodes in layers.items()},
        }
        print(json.dumps(report, indent=2))
    else:
        tables = [_table(timings), *(_layers(*item) for item in layers.items())]
        print("\n\n".join(tables))
    return 0


def _speedup(timing: Timing, timings: list[Timing]) -> float | None:
    """How many times as fast as LCE's interpreter on the same file; None if not measured."""
    for other in timings:
        if other.model == timing.model and other.runtime == "lce":
            return other.median_ms / timing.median_ms
    return None


def _table(timings: list[Timing]) -> str:
    rows = [["model", "runtime", "median ms", "p90 ms", "min ms", "spread", "first ms", "peak"]]
    rows[0].append("speed / LCE")
    for t in timings:
        peak = "-" if t.peak_memory_bytes is None else f"{t.peak_memory_bytes / 2**20:.1f} MiB"
        numbers = (f"{ms:.3f}" for ms in (t.median_ms, t.p90_ms, t.min_ms))
        speedup = _speedup(t, timings)
        rows.append(
            [
                t.model,
                t.runtime,
                *numbers,
                f"{t.spread:.1%}",
                f"{t.first_ms:.3f}",
                peak,
                "-" if speedup is None else f"{speedup:.2f}",
            ]
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


def _layers(model: str, nodes: list[NodeTiming]) -> str:
    total = sum(n.mean_ms for n in nodes)
    rows = [["node", "op", "input", "output", "kernel", "mean ms", "share"]]
    for n in nodes:
        share = n.mean_ms / total if total else 0.0
        rows.append(
            [
                str(n.node),
                n.op,
                *("x".join(map(str, shape)) for shape in (n.input_shape, n.output_shape)),
                n.kernel,
                f"{n.mean_ms:.4f}",
                f"{share:.1%}",
            ]
        )
    return "\n".join(
        [
            f"Nodes of {model} that the delegate runs:",
            *aligned(rows, left=5),
            f"together {total:.3f} ms; everything else is the interpreter's own.",
        ]
    )
