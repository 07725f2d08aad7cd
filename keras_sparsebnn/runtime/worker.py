"""The process that runs one model for `benchmark`.

Protocol: one JSON object a line on stdin, one a line back on stdout.

    {"model": path, "runtime": name, ...} -> {"runtime": name}; ... are Interpreter's options
    {"run": times}                        -> {"seconds": [..., one per inference]}
    {"memory": true}                      -> {"peak_memory_bytes": bytes | null}
    {"profile": true}                     -> {"nodes": [...]}

or {"error": one line}. It ends with its stdin.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.errors import SparseBNNError, one_line
from keras_sparsebnn.runtime.interpreter import Interpreter, choose_runtime, import_runtime
from keras_sparsebnn.runtime.memory import peak_bytes
from keras_sparsebnn.runtime.model_file import custom_ops, load

__all__ = ["main", "random_inputs"]


def _reset_peak() -> None:
    """Resets the peak to the current resident size, where Linux allows it."""
    # If not allowed, the peak includes Python's start, and the rise only comes out smaller.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def random_inputs(interpreter: Interpreter) -> list[npt.NDArray[Any]]:
    """One batch: standard normal floats, int8 and uint8 over their range, other types zero.

    Zeros, because integers of other types are mostly indices.
    """
    rng = np.random.default_rng(0)
    inputs = []
    for shape, dtype in zip(interpreter.input_shapes, interpreter.input_types, strict=True):
        if np.issubdtype(dtype, np.floating):
            value = rng.standard_normal(shape).astype(dtype)
        elif dtype in (np.int8, np.uint8):
            limits = np.iinfo(dtype)
            value = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        else:
            value = np.zeros(shape, dtype)
        inputs.append(value)
    return inputs


class _Session:
    """One model, loaded."""

    def __init__(self, message: dict[str, Any]) -> None:
        file, name = load(message["model"])
        # The library's memory is not the model's: load it before measuring.
        import_runtime(choose_runtime(message["runtime"], custom_ops(file), name))
        del file
        _reset_peak()
        self.peak_before = peak_bytes()
        self.interpreter = Interpreter(message.pop("model"), **message)
        self.inputs = random_inputs(self.interpreter)

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        if "run" in message:
            seconds = []
            for _ in range(message["run"]):
                start = time.perf_counter()
                self.interpreter.predict(self.inputs)
                seconds.append(time.perf_counter() - start)
            return {"seconds": seconds}
        if "profile" in message:
            return {"nodes": self.interpreter.profile()}
        peak = peak_bytes()
        if peak is None or self.peak_before is None:
            return {"peak_memory_bytes": None}
        return {"peak_memory_bytes": max(0, peak - self.peak_before)}


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})"
    return one_line(error)


def main() -> None:
    """Answers until stdin ends."""
    # Ctrl-C reaches the whole process group; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a library prints must not get between the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    session: _Session | None = None
    for line in sys.stdin:
        message = json.loads(line)
        try:
            if session is None:
                session = _Session(message)
                reply: dict[str, Any] = {"runtime": session.interpreter.runtime}
            else:
                reply = session.answer(message)
        except (SparseBNNError, OSError, ImportError, MemoryError) as error:
            reply = {"error": _one_line(error)}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
