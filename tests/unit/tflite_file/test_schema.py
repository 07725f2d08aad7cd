"""The schema is TFLite's: compared with the code that flatbuffers has generated from it."""

from __future__ import annotations

import importlib
import inspect
import re

import numpy as np
import pytest

from keras_sparsebnn.tflite_file import Table, write_tables
from keras_sparsebnn.tflite_file.schema import (
    BUILTIN_OPERATORS,
    SCHEMA,
    TENSOR_TYPES,
    UNIONS,
)

GENERATED = {
    "litert": "ai_edge_litert.schema_py_generated",
    "tensorflow": "tensorflow.lite.python.schema_py_generated",
}
DEPRECATED = {"new_height", "new_width", "deprecated_tag"}
"""Fields that generated code has no way to read."""


@pytest.fixture(scope="module", params=GENERATED)
def generated(request):
    pytest.importorskip(GENERATED[request.param].partition(".")[0])
    return importlib.import_module(GENERATED[request.param])


def extreme(field):
    """A value that a wrong type or place would not give back."""
    if field.type == "<f4":
        return np.float32(-1.5)
    limits = np.iinfo(field.type)
    return limits.min if limits.min else limits.max


def accessor(table, name):
    """The generated method of a field; None if this version does not know it."""
    same = [m for m in dir(table) if m.lower() == name.replace("_", "")]
    return getattr(table, same[0]) if same else None


def read(generated, table):
    return getattr(generated, table.kind).GetRootAs(write_tables(table))


def names(enum):
    numbered = {number: name for name, number in vars(enum).items() if isinstance(number, int)}
    return tuple(numbered[number] for number in range(len(numbered)))


def test_tables_and_numbers_of_fields(generated):
    slots = re.findall(
        r"^def (\w+)Start\(builder\):\n\s+(?:return )?builder\.StartObject\((\d+)\)",
        inspect.getsource(generated),
        re.MULTILINE,
    )
    theirs = {kind: int(count) for kind, count in slots}
    ours = {kind: len(fields) for kind, fields in SCHEMA.items()}
    if generated.__name__.startswith("ai_edge_litert"):
        assert theirs == ours
    else:  # of older versions, and so with less
        assert len(theirs) > 100
        assert all(count <= ours[kind] for kind, count in theirs.items())


@pytest.mark.parametrize("kind", SCHEMA)
def test_every_field_is_where_they_read_it(generated, kind):
    if not hasattr(generated, kind):
        pytest.skip("a table that this version does not know")
    empty = read(generated, Table(kind))
    for field in SCHEMA[kind]:
        get = accessor(empty, field.name)
        if get is None:
            known = generated.__name__.startswith("ai_edge_litert")
            assert field.name in DEPRECATED or not known, field
            continue
        if field.scalar and not field.vector:
            assert get() == field.default, field
            value = 1 if field.type == "<u1" else extreme(field)
            table = read(generated, Table(kind, **{field.name: value}))
            assert accessor(table, field.name)() == value
        elif field.scalar:
            values = [extreme(field), 1, 0]
            table = read(generated, Table(kind, **{field.name: values}))
            vector = accessor(table, f"{field.name}_as_numpy")()
            assert vector.dtype.itemsize == np.dtype(field.type).itemsize
            assert vector.tolist() == np.array(values).astype(vector.dtype).tolist()
        elif field.type == "text":
            table = read(generated, Table(kind, **{field.name: "text"}))
            assert accessor(table, field.name)() == b"text"
        elif field.vector:
            child = Table(field.type)
            table = read(generated, Table(kind, **{field.name: [child, child]}))
            assert type(accessor(table, field.name)(1)).__name__ == field.type
        else:
            child = Table(UNIONS.get(field.type, ("", field.type))[1])
            table = read(generated, Table(kind, **{field.name: child}))
            assert accessor(table, field.name)() is not None
            if field.type in UNIONS:
                assert accessor(table, f"{field.name}_type")() == 1
                assert type(accessor(table, field.name)()).__name__ == "Table"


@pytest.mark.parametrize("union", UNIONS)
def test_unions(generated, union):
    theirs = names(getattr(generated, union))
    assert UNIONS[union][: len(theirs)] == theirs


@pytest.mark.parametrize(
    ("enum", "ours"), [("TensorType", TENSOR_TYPES), ("BuiltinOperator", BUILTIN_OPERATORS)]
)
def test_enums(generated, enum, ours):
    theirs = names(getattr(generated, enum))
    assert ours[: len(theirs)] == theirs
    if generated.__name__.startswith("ai_edge_litert"):
        assert ours == theirs
