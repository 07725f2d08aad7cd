"""What `sparsebnn benchmark --json` prints: timings, and the time of each node."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from typing import Any

from keras_sparsebnn.runtime.benchmark import benchmark
from keras_sparsebnn.runtime.profiling import profile

__all__ = ["measure"]


def measure(
    models: Sequence[str | os.PathLike[str]],
    *,
    num_threads: int = 1,
    runs: int = 50,
    warmup: int = 10,
    runtime: str = "compare",
    glue: bool = True,
    stem: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Times models against each other, then the nodes that the delegate runs.

    Args:
        models, num_threads, runs, warmup, runtime, glue, stem, progress: as in `benchmark`.

    Returns:
        "machine", "platform", "timings" (a `Timing` each, and how many times as fast as LCE's
        interpreter it is on the same file) and "layers" (by model, a `NodeTiming` each).

    Raises:
        SparseBNNError: a file or an option is wrong, or an interpreter is missing or died.
        OSError: a file cannot be read.
    """
    options: dict[str, Any] = {"num_threads": num_threads, "runs": runs, "warmup": warmup}
    options |= {"glue": glue, "stem": stem}
    timings = benchmark(models, runtime=runtime, progress=progress, **options)
    lce = {t.model: t.median_ms for t in timings if t.runtime == "lce"}
    # Apart from the timing, which it would slow.
    layers = {
        t.model: profile(t.model, **options)
        for t in timings
        if t.runtime.startswith("delegate")
    }
    return {
        "machine": platform.machine(),
        "platform": platform.platform(),
        "timings": [
            {
                **t.to_dict(),
                "speedup_over_lce": lce[t.model] / t.median_ms if t.model in lce else None,
            }
            for t in timings
        ],
        "layers": {model: [n.to_dict() for n in nodes] for model, nodes in layers.items()},
    }
