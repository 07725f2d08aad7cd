"""The suite's environment: Keras 2, quiet TensorFlow, printed and overridable seeds."""

from __future__ import annotations

import os
from importlib import metadata

import numpy as np
import pytest


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if _installed("tf-keras"):
    # Before anything imports TensorFlow.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

SEED = int(os.environ.get("KERAS_SPARSEBNN_SEED", "20260101"))


def pytest_report_header() -> str:
    return f"seed: {SEED} (override with KERAS_SPARSEBNN_SEED)"


@pytest.fixture
def rng() -> np.random.Generator:
    """Random inputs; the same in every run unless KERAS_SPARSEBNN_SEED says otherwise."""
    return np.random.default_rng(SEED)


@pytest.fixture
def seeded() -> int:
    """Seeds Python, NumPy and Keras."""
    from keras_sparsebnn._keras import keras

    keras.utils.set_random_seed(SEED)
    return SEED
