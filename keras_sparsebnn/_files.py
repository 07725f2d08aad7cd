"""Files written whole or not at all, and folders that one process holds at a time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["LOCK", "fsync_path", "locked", "read_json", "replaced", "sha256", "write_json"]

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


def sha256(path: Path) -> str:
    """The digest of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, with its suffix, that becomes `path` on success.

    On any failure it is removed and `path` is as before. Each writer has a file of its own, so
    that of several the last one wins, whole.

    Raises:
        OSError: no room, read-only folder, ...
    """
    _remove_leftovers(path)
    writer = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{path.stem}.writing-{writer}{path.suffix}")
    temporary.unlink(missing_ok=True)
    # It must be ours: in a folder of everybody's, a link by this name may lie in wait.
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    os.close(os.open(temporary, flags, 0o666))
    try:
        yield temporary
        fsync_path(temporary)
        temporary.replace(path)
        fsync_path(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """What killed processes of this machine left of the same file."""
    if os.name != "posix":  # where signal 0 is no question
        return
    name = re.compile(
        rf"\.{re.escape(path.stem)}\.writing-(\d{{1,10}})-\d+{re.escape(path.suffix)}"
    )
    for other in path.parent.iterdir():
        found = name.fullmatch(other.name)
        if found is None:
            continue
        try:
            os.kill(int(found[1]), 0)
        except ProcessLookupError:
            other.unlink(missing_ok=True)
        except (PermissionError, OverflowError):
            pass  # somebody else's, or no process at all


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
