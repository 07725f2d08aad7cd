"""The suite's environment: Keras 2, quiet TensorFlow, printed and overridable seeds."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

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

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As of whatever a script starts with `&`; programs that tests start would inherit that.
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)

SEED = int(os.environ.get("KERAS_SPARSEBNN_SEED", "20260101"))


def pytest_report_header() -> str:
    return f"seed: {SEED} (override with KERAS_SPARSEBNN_SEED)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of slow.txt, which tests/mark_slow.py writes."""
    lines = Path(__file__).with_name("slow.txt").read_text("utf-8").splitlines()
    slow = {line.partition(" ")[0] for line in lines}
    for item in items:
        if item.nodeid.partition("[")[0] in slow:
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look at TensorFlow again."""
    gc.freeze()


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


@pytest.fixture(scope="session")
def lce_model() -> Callable[..., bytes]:
    """Makes a .tflite with given `LceBconv2d`, as LCE writes them; needs no TensorFlow."""
    return _lce_model


def _lce_model(
    *layers: tuple[np.ndarray, int], share_buffers: bool = False, **changed: int
) -> bytes:
    """One `LceBconv2d` per layer on the same input.

    Args:
        layers: (int32 words `[Cout, K, K, W]`, channels_in); the same array object twice is
            one tensor.
        share_buffers: give equal filters one buffer.
        changed: options to add or replace.
    """
    from keras_sparsebnn.tflite_file import ModelBuilder, operator_code

    builder = ModelBuilder()
    for name in ("LceQuantize", "LceBconv2d"):
        operator_code(builder.root, name)
    filters: dict[int | bytes, int] = {}
    x = builder.activation([1, 4, 4, -(-layers[0][1] // 32)], "int32")
    outputs = []
    for words, channels_in in layers:
        count, data = words.shape[0], words.tobytes()
        if id(words) not in filters:
            known = filters.get(data) if share_buffers else None
            tensors = builder.graph.tables("tensors")
            shared = {} if known is None else {"buffer": tensors[known].integer("buffer")}
            filters[id(words)] = filters[data] = builder.constant(words, **shared)
        ones = [builder.constant(np.ones(count, np.float32)) for _ in range(2)]
        outputs.append(builder.activation([1, 4, 4, count], "float32"))
        options = {
            "channels_in": channels_in,
            **{f"dilation_{side}_factor": 1 for side in ("height", "width")},
            **{"fused_activation_function": 0, "pad_values": 1, "padding": 0},
            **{f"stride_{side}": 1 for side in ("height", "width")},
            **changed,
        }
        inputs = [x, filters[id(words)], *ones, -1]
        builder.operator("LceBconv2d", inputs, outputs[-1:], options)
    return builder.to_bytes([x], outputs)
