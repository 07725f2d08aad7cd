"""Checks reports: a device, or a file from elsewhere, may say anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import NodeTiming, Timing

__all__ = ["checked"]

MAX_TIMINGS, MAX_NODES, MAX_TEXT = 64, 20_000, 300
MAX_NUMBER = 1e15

_TEXTS = {"model", "runtime", "op", "kernel", "machine", "platform"}
_OPTIONAL = {"peak_memory_bytes": None, "speedup_over_lce": None}
_SHAPES = {"input_shape", "output_shape"}


def checked(report: object, model: str, spec: str) -> dict[str, Any]:
    """A report with the fields of `sparsebnn benchmark --json` and no others.

    Args:
        report: what the device sent, or the file has.
        model: what the report's only model is to be called.
        spec: the device, for messages.

    Raises:
        SparseBNNError: a field is missing, or is not what it should be.
    """
    outer = _mapping(report, spec)
    timings = outer.get("timings")
    if not isinstance(timings, list) or not 1 <= len(timings) <= MAX_TIMINGS:
        raise _wrong("timings", spec)
    layers = _mapping(outer.get("layers"), spec)
    nodes: Any = next(iter(layers.values()), [])
    if not isinstance(nodes, list) or len(nodes) > MAX_NODES:
        raise _wrong("layers", spec)
    fields = [field.name for field in dataclasses.fields(Timing)]
    kept = [_record([*fields, "speedup_over_lce"], entry, spec) for entry in timings]
    fields = [field.name for field in dataclasses.fields(NodeTiming)]
    named = {model: [_record(fields, node, spec) for node in nodes]} if nodes else {}
    return {
        **_record(["machine", "platform"], outer, spec),
        "timings": [{**timing, "model": model} for timing in kept],
        "layers": named,
    }


def _wrong(field: str, spec: str) -> SparseBNNError:
    return SparseBNNError(
        f"Expected a report of `sparsebnn benchmark`, got one with a wrong `{field}` ({spec}). "
        "Are the versions on both sides the same?"
    )


def _mapping(value: object, spec: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong("object", spec)
    return value


def _record(names: list[str], value: object, spec: str) -> dict[str, Any]:
    given = _mapping(value, spec)
    return {name: _field(name, given.get(name, _OPTIONAL.get(name)), spec) for name in names}


def _field(name: str, value: object, spec: str) -> Any:
    if name in _TEXTS:
        if isinstance(value, str):
            return "".join(c if c.isprintable() else " " for c in value[:MAX_TEXT])
    elif name in _SHAPES:
        if isinstance(value, (list, tuple)) and len(value) <= 8 and all(map(_is_number, value)):
            return [int(side) for side in value]
    elif _is_number(value) or (value is None and name in _OPTIONAL):
        return value
    raise _wrong(name, spec)


def _is_number(value: object) -> bool:
    """Whether it is a number from 0 on; infinity and NaN are not."""
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and 0 <= value <= MAX_NUMBER
    )
