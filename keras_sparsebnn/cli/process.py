"""The command line owns its process: which Keras it gets, and what reaches its stderr."""

from __future__ import annotations

import faulthandler
import os
import sys
from importlib import metadata

__all__ = ["drop_native_stderr", "import_keras"]

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def drop_native_stderr() -> None:
    """From here on, only Python writes to stderr, until the process ends.

    TensorFlow, XLA and TFLite log from C++ to file descriptor 2 while they load, while they
    work and while the process ends, mostly whatever TF_CPP_MIN_LOG_LEVEL says; an error has to
    be one line. A crash in native code still prints Python's stack. Does nothing where the
    user has set TF_CPP_MIN_LOG_LEVEL to 0, 1 or 2, and so has asked for these logs.
    """
    if sys.stderr is None or os.environ.get(_LOG_LEVEL, "3") in ("0", "1", "2"):
        return  # None: started with stderr closed
    kept = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    sys.stderr.flush()
    os.dup2(sink, 2)
    os.close(sink)
    sys.stderr = open(kept, "w", buffering=1, errors="backslashreplace")  # noqa: PTH123, SIM115
    faulthandler.enable(sys.stderr)


def _installed(distribution: str) -> tuple[int, ...] | None:
    try:
        return tuple(int(part) for part in metadata.version(distribution).split(".")[:2])
    except metadata.PackageNotFoundError:
        return None


def import_keras() -> None:
    """Imports TensorFlow, Keras 2, larq and this package's layers; Python's logs are quiet.

    Raises:
        KerasEnvironmentError: one of them is missing or does not fit the others.
    """
    os.environ.setdefault(_LOG_LEVEL, "3")
    names = ("tensorflow", "tensorflow-cpu", "tf-nightly")
    tensorflow = next(filter(None, map(_installed, names)), None)
    if tensorflow is not None and tensorflow >= (2, 16) and _installed("tf-keras"):
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    import logging

    from keras_sparsebnn import layers  # noqa: F401  registers the classes
    from keras_sparsebnn._keras import tf

    tf.get_logger().setLevel("ERROR")
    logging.getLogger("absl").setLevel(logging.ERROR)  # TFDS's notes about itself
    tf.config.list_physical_devices()  # looks for GPUs, and says so
