"""Which kernel the delegate chose for every node of a model, and how long it takes."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from keras_sparsebnn._rules import count
from keras_sparsebnn.runtime.benchmark import MAX_RUNS
from keras_sparsebnn.runtime.interpreter import MAX_THREADS
from keras_sparsebnn.runtime.worker_process import WorkerProcess

__all__ = ["NodeTiming", "profile"]


@dataclass(frozen=True)
class NodeTiming:
    """One node that the delegate runs.

    Attributes:
        node: its index in the file.
        op: its op.
        input_shape: of its first input; the last dimension counts int32 words if bit-packed.
        output_shape: likewise.
        kernel: the kernel that runs it, and its instruction set; "in node N" for a float op
            that runs in the same pass as that node.
        mean_ms: mean over the runs; of all that run in the same pass, 0 for the others.
    """

    node: int
    op: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    kernel: str
    mean_ms: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def profile(
    model: str | os.PathLike[str],
    *,
    num_threads: int = 1,
    runs: int = 50,
    warmup: int = 10,
    glue: bool = True,
    stem: bool = True,
) -> list[NodeTiming]:
    """Times every node of a model that the delegate runs, in a process of its own.

    Reading the clock around every node takes time itself: use these figures for the nodes'
    shares, and `benchmark` for the time of the whole model.

    Args:
        model: the path of a `.tflite`.
        num_threads: threads of one inference, 1 to 256.
        runs: inferences to average over, at least 1.
        warmup: inferences before that, at least 1.
        glue: as in `Interpreter`.
        stem: likewise.

    Raises:
        SparseBNNError: a file or an option is wrong, or an interpreter is missing or died.
        OSError: the file cannot be read.
    """
    runs, warmup = count("runs", runs, MAX_RUNS), count("warmup", warmup, MAX_RUNS)
    options = {
        "num_threads": count("num_threads", num_threads, MAX_THREADS),
        **{"profile": True, "glue": bool(glue), "stem": bool(stem)},
    }
    worker = WorkerProcess(os.fspath(model), runtime="delegate", **options)
    try:
        worker.run(warmup)
        before = worker.profile()
        worker.run(runs)
        after = worker.profile()
    finally:
        worker.close()
    return [
        NodeTiming(
            node=new["node"],
            op=new["op"],
            input_shape=tuple(new["input"]),
            output_shape=tuple(new["output"]),
            kernel=new["kernel"],
            mean_ms=1e-6 * (new["ns"] - old["ns"]) / runs,
        )
        for old, new in zip(before, after, strict=True)
    ]
