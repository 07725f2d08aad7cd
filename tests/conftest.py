"""The suite's environment: Keras 2, quiet TensorFlow, printed and overridable seeds."""

from __future__ import annotations

import os
from collections.abc import Callable
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
    from flatbuffers import flexbuffers

    from keras_sparsebnn.tflite_file.tree import Table, write_tree

    root, graph = Table("Model", {"description": b"synthetic"}), Table("SubGraph")
    root.set_integer("version", 3)
    root.append("buffers", Table("Buffer"))
    for name in (b"LceQuantize", b"LceBconv2d"):
        code = Table("OperatorCode", {"custom_code": name})
        for field in ("deprecated_builtin_code", "builtin_code"):
            code.set_integer(field, 32)
        code.set_integer("version", 1)
        root.append("operator_codes", code)
    known: dict[bytes, int] = {}

    def tensor(name: str, type: int, shape: list[int], data: bytes = b"") -> int:
        table = Table("Tensor", {"name": name.encode(), "has_rank": b"\1"})
        table.set_integers("shape", shape)
        table.set_integer("type", type)
        buffer = known.get(data) if share_buffers else None
        if buffer is None:
            content = {"data": data} if data else {}
            buffer = known[data] = root.append("buffers", Table("Buffer", content))
        table.set_integer("buffer", buffer)
        return graph.append("tensors", table)

    x = tensor("x", 2, [1, 4, 4, -(-layers[0][1] // 32)])
    outputs = []
    filters: dict[int, int] = {}
    for number, (words, channels_in) in enumerate(layers):
        count = words.shape[0]
        if id(words) not in filters:
            filters[id(words)] = tensor(
                f"filter{number}", 2, [*words.shape], words.astype("<i4").tobytes()
            )
        ones = np.ones(count, "<f4").tobytes()
        multiplier = tensor(f"multiplier{number}", 0, [count], ones)
        bias = tensor(f"bias{number}", 0, [count], ones)
        outputs.append(tensor(f"y{number}", 0, [1, 4, 4, count]))
        options = {
            "channels_in": channels_in,
            **{f"dilation_{side}_factor": 1 for side in ("height", "width")},
            **{"fused_activation_function": 0, "pad_values": 1, "padding": 0},
            **{f"stride_{side}": 1 for side in ("height", "width")},
            **changed,
        }
        builder = flexbuffers.Builder()
        with builder.Map():
            for key in sorted(options):
                builder.Int(key, options[key])
        operator = Table("Operator", {"custom_options": bytes(builder.Finish())})
        operator.set_integer("opcode_index", 1)
        operator.set_integers("inputs", [x, filters[id(words)], multiplier, bias, -1])
        operator.set_integers("outputs", outputs[-1:])
        graph.append("operators", operator)
    graph.set_integers("inputs", [x])
    graph.set_integers("outputs", outputs)
    root.append("subgraphs", graph)
    return write_tree(root)
