"""The only place that decides which Keras is used.

larq needs Keras 2. TensorFlow 2.15 carries it as `tf.keras`; from 2.16 on, `tf.keras` is
Keras 2 only when the `tf-keras` package is installed and `TF_USE_LEGACY_KERAS=1` was set
before TensorFlow was imported. Everything else imports `tf`, `keras` and `lq` from here.
"""

from __future__ import annotations

import os
from importlib import metadata

__all__ = ["KerasEnvironmentError", "check_environment", "keras", "lq", "tf"]


class KerasEnvironmentError(ImportError):
    """The installed TensorFlow, Keras and larq cannot work together as they are set up."""


def _version(distribution: str) -> tuple[int, ...] | None:
    try:
        text = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
    return tuple(int(part) for part in text.split(".")[:2])


def check_environment() -> None:
    """Raises `KerasEnvironmentError`, one line, unless `tf.keras` will be Keras 2.

    Reads package metadata and the environment only: imports nothing, costs no time.
    """
    tensorflow = next(
        filter(None, map(_version, ("tensorflow", "tensorflow-cpu", "tf-nightly"))), None
    )
    if tensorflow is None:
        raise KerasEnvironmentError(
            "Expected TensorFlow to be installed, found none. "
            "Run: pip install 'keras-sparsebnn[train]'"
        )
    asked_for_legacy = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    has_tf_keras = _version("tf-keras") is not None
    if tensorflow >= (2, 16) and not has_tf_keras:
        raise KerasEnvironmentError(
            f"Expected Keras 2 (larq needs it), but TensorFlow {tensorflow[0]}.{tensorflow[1]} "
            f"brings Keras 3. Run: pip install 'tf-keras=={tensorflow[0]}.{tensorflow[1]}.*'"
        )
    if tensorflow >= (2, 16) and not asked_for_legacy:
        raise KerasEnvironmentError(
            "Expected TF_USE_LEGACY_KERAS=1 (larq needs Keras 2), but it is not set, so "
            "tf.keras is Keras 3. Set it before TensorFlow is imported: "
            "export TF_USE_LEGACY_KERAS=1"
        )
    if tensorflow < (2, 16) and asked_for_legacy and not has_tf_keras:
        raise KerasEnvironmentError(
            f"Expected TF_USE_LEGACY_KERAS to be unset, because TensorFlow {tensorflow[0]}."
            f"{tensorflow[1]} has Keras 2 already and tf-keras is not installed. "
            "Run: unset TF_USE_LEGACY_KERAS"
        )
    if _version("larq") is None:
        raise KerasEnvironmentError(
            "Expected larq to be installed, found none. "
            "Run: pip install 'keras-sparsebnn[train]'"
        )


check_environment()

import tensorflow as tf  # noqa: E402

if not tf.keras.layers.Layer.__module__.startswith(("keras.src.engine", "tf_keras.")):
    raise KerasEnvironmentError(
        "Expected tf.keras to be Keras 2, but Keras 3 is active in this process: TensorFlow "
        "was imported before TF_USE_LEGACY_KERAS=1 was set. Set it first: "
        "export TF_USE_LEGACY_KERAS=1"
    )

import larq as lq  # noqa: E402

keras = tf.keras
