"""The command line owns its process, so it sets Keras up before anything imports it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata

__all__ = ["import_keras"]


def _installed(distribution: str) -> tuple[int, ...] | None:
    try:
        return tuple(int(part) for part in metadata.version(distribution).split(".")[:2])
    except metadata.PackageNotFoundError:
        return None


@contextlib.contextmanager
def _held_stderr() -> Iterator[None]:
    """Sends file descriptor 2 to a file that is thrown away.

    TensorFlow's C++ code logs there while it loads, whatever TF_CPP_MIN_LOG_LEVEL says, and
    an error has to be one line. Python exceptions still come out.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # started with stderr closed
        yield
        return
    try:
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            try:
                yield
            finally:
                sys.stderr.flush()
                os.dup2(kept, 2)
    finally:
        os.close(kept)


def import_keras() -> None:
    """Imports TensorFlow, Keras 2, larq and this package's layers, quietly.

    Raises:
        KerasEnvironmentError: one of them is missing or does not fit the others.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tensorflow = _installed("tensorflow") or _installed("tensorflow-cpu")
    if tensorflow is not None and tensorflow >= (2, 16) and _installed("tf-keras"):
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    with _held_stderr():
        from keras_sparsebnn import layers  # noqa: F401  registers the classes
        from keras_sparsebnn._keras import tf

        tf.get_logger().setLevel("ERROR")
        tf.config.list_physical_devices()  # looks for GPUs, and says so
