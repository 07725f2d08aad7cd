"""Files written whole or not at all, and folders that one process holds at a time."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["LOCK", "fsync_path", "locked", "read_json", "replaced", "write_json"]

LOCK = ".lock"
"""The file by which `locked` holds a folder."""

MAX_JSON_BYTES = 256 << 20  # a history of 1000 epochs with all selections is far smaller


def fsync_path(path: Path) -> None:
    """Makes a file's content, or a folder's entries, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, with its suffix, that becomes `path` on success.

    On any failure it is removed and `path` is as before.

    Raises:
        OSError: no room, read-only folder, ...
    """
    temporary = path.with_name(f".{path.stem}.writing{path.suffix}")
    try:
        yield temporary
        fsync_path(temporary)
        temporary.replace(path)
        fsync_path(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Makes the folder and keeps other processes out until the end, even one by a kill.

    Args:
        folder: to be held.
        patience: seconds to wait for a process that works in it.

    Raises:
        SparseBNNError: another process works in it.
        OSError: it cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    end = time.monotonic() + patience
    with (folder / LOCK).open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= end:
                    raise SparseBNNError(
                        f"Expected no other process to work in {folder}, but one does. "
                        "Wait for it, or choose another folder."
                    ) from error
            time.sleep(0.2)
        yield


def write_json(path: Path, data: object) -> None:
    """`data` as JSON, atomically.

    Raises:
        OSError: no room, read-only folder, ...
    """
    with replaced(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", "utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file that may be anything.

    Raises:
        SparseBNNError: it is no JSON object, no regular file or absurdly large.
        OSError: it cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_JSON_BYTES:
        raise SparseBNNError(
            f"Expected a JSON file of at most {MAX_JSON_BYTES} bytes, got {status.st_size} "
            f"({path}). Correct or remove it."
        )
    try:
        data = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise SparseBNNError(
            f"Expected JSON, got something else ({path}: {str(error)[:100]}). Correct or "
            "remove it."
        ) from error
    if not isinstance(data, dict):
        raise SparseBNNError(
            f"Expected a JSON object, got {type(data).__name__} ({path}). Correct or remove it."
        )
    return data
