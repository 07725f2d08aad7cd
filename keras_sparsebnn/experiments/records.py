"""Files of records: one JSON object a line, each written completely or not at all.

Writers take turns. An incomplete line, from a killed process or a full disk, is skipped by
readers and removed before the next one is written. A record is safe once `append` returns.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from keras_sparsebnn._files import fsync_path
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["append", "read"]

MAX_FILE_BYTES = 1 << 30
MAX_LINE_BYTES = 16 << 20  # 1000 epochs take 0.1 MB


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _check(path: Path) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
        raise SparseBNNError(
            f"Expected a file of records of at most {MAX_FILE_BYTES} bytes, got "
            f"{status.st_size} ({path}). Move it away."
        )


def read(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """The number of each line and its record; None if the line is damaged.

    A damaged last line without a newline is skipped: it was never written completely.

    Raises:
        SparseBNNError: not a regular file, or more than 1 GiB.
        OSError: it cannot be read.
    """
    _check(path)
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            record = _object(line)
            if record is not None or (line.endswith(b"\n") and line.strip()):
                yield number, record
            elif len(line) == MAX_LINE_BYTES:
                yield number, None
                return


def _lock(file: IO[bytes]) -> None:
    """Waits for its turn to write; the system ends it when the file is closed."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    fcntl.flock(file, fcntl.LOCK_EX)


def _end_of_records(file: IO[bytes], path: Path) -> tuple[int, bytes]:
    """The offset of the next record, and the separator to write before it."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - MAX_LINE_BYTES)
    file.seek(start)
    before, newline, tail = file.read().rpartition(b"\n")
    if not tail:
        return size, b""
    if (not newline and start > 0) or not tail.startswith(b"{"):
        raise SparseBNNError(f"Expected a file of records, got another one ({path}). Move it.")
    if _object(tail) is not None:  # complete except for its newline
        return size, b"\n"
    return start + len(before) + len(newline), b""


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Adds a record, which is on the disk when this returns.

    Raises:
        SparseBNNError: `path` is not a file of records.
        OSError: no room, read-only folder, ...; the file is as before.
    """
    line = json.dumps(record, allow_nan=False).encode() + b"\n"
    # Unbuffered: bytes that the disk refuses must not be written later, at close.
    with path.open("a+b", buffering=0) as file:
        _check(path)
        _lock(file)
        end, separator = _end_of_records(file, path)
        file.truncate(end)
        rest = memoryview(separator + line)
        try:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise
    fsync_path(path.parent)
