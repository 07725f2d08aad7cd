"""Runs on a board: measures one model, as it is told on stdin, and reports on stdout.

One JSON object comes, `runtime.report.measure`'s arguments with "models". A JSON object a line
goes back: {"done": .., "total": ..} now and then, then {"report": ..} or {"error": one line}.
"""

from __future__ import annotations

import json
import os
import sys
import time

from keras_sparsebnn.errors import SparseBNNError, one_line

__all__ = ["main"]

_SECONDS = 0.5
"""Between two lines that say how far it is."""


def main() -> None:
    """Answers once."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not get between the replies
    told = 0.0

    def reply(**message: object) -> None:
        print(json.dumps(message), file=replies, flush=True)  # fails when nobody listens

    def progress(done: int, total: int) -> None:
        nonlocal told
        if done == total or time.monotonic() - told >= _SECONDS:
            told = time.monotonic()
            reply(done=done, total=total)

    try:
        # Here, so that a missing package is said like everything else.
        from keras_sparsebnn.runtime.report import measure

        reply(report=measure(progress=progress, **json.loads(sys.stdin.readline())))
    except (SparseBNNError, ImportError, MemoryError) as error:
        reply(error=one_line(error))
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        reply(error=f"{error.strerror} ({error.filename})")


if __name__ == "__main__":
    main()
