"""Errors of the benchmarks, as of the command line: one line, no traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["one_line_errors"]


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the process with the message of a `SparseBNNError`; decorates a `main`, too."""
    try:
        yield
    except SparseBNNError as error:
        raise SystemExit(str(error)) from None
