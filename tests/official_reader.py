"""A .tflite as flatbuffers' generated code reads it: slow and obvious, and none of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def official(flat: bytes) -> Any:
    """TensorFlow's object API's tree as plain values."""
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    return _plain(schema.ModelT.InitFromObj(schema.Model.GetRootAs(flat, 0)))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if hasattr(value, "__dict__"):
        return {name: _plain(item) for name, item in vars(value).items()}
    return value
