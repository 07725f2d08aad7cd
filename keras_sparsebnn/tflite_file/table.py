"""A table of a .tflite, as it is in the file. It can be changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.tflite_file.schema import SCHEMA, UNIONS, Field

__all__ = ["Settable", "Table", "Value", "Vector"]

Vector = npt.NDArray[Any]
"""One dimension, of the field's type; a view of the file if it was read from one."""

Value = Union[int, np.float32, bytes, Vector, "Table", "list[Table]"]
"""A scalar, a text, a vector of scalars, a table or a vector of tables."""

Settable = Value | float | str | bytearray | memoryview | Sequence[float] | Sequence["Table"]
"""What a field can be set to: a `Value`, or what becomes one for the field's type."""

_FIELDS = {kind: {field.name: field for field in fields} for kind, fields in SCHEMA.items()}


class Table:
    """One table.

    Args:
        kind: which table of the schema.
        values: of its fields, by name; text as str or bytes, vectors of bytes as bytes.

    Attributes:
        kind: which table of the schema.
        fields: name -> value, for the fields that the file has.
        far: whether its large vector is behind the flatbuffer, see `schema.FAR`.
        unknown: number of the first field that the schema does not know. Such a table can be
            read, but not written again, as the field may be an offset.

    Example:
        >>> tensor = Table("Tensor", shape=[1, 2], type=9)
        >>> tensor.integer("type"), tensor.integers("shape"), tensor.integer("buffer")
        (9, (1, 2), 0)
    """

    __slots__ = ("far", "fields", "kind", "unknown")

    def __init__(self, kind: str, **values: Settable) -> None:
        self.kind = kind
        self.fields: dict[str, Value] = {}
        self.far = False
        self.unknown: int | None = None
        for name, value in values.items():
            self[name] = value

    def __setitem__(self, name: str, value: Settable) -> None:
        field = _FIELDS[self.kind][name]
        self.fields[name] = _value(field, value)
        if field.type in UNIONS:
            assert isinstance(value, Table)
            self.fields[f"{name}_type"] = UNIONS[field.type].index(value.kind)

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def __eq__(self, other: object) -> bool:
        """Whether both have the same content, byte by byte: NaN equals itself."""
        if not isinstance(other, Table):
            return NotImplemented
        return (
            (self.kind, self.far, self.unknown) == (other.kind, other.far, other.unknown)
            and self.fields.keys() == other.fields.keys()
            and all(_same(value, other.fields[name]) for name, value in self.fields.items())
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = "".join(f", {name}={value!r}" for name, value in self.fields.items())
        return f"Table({self.kind!r}{values})"

    def integer(self, name: str) -> int:
        """A scalar; the schema's default if absent."""
        value = self.fields.get(name, _FIELDS[self.kind][name].default)
        assert isinstance(value, int)
        return value

    def vector(self, name: str) -> Vector:
        """A vector of scalars; empty if absent."""
        value = self.fields.get(name)
        if value is None:
            return np.empty(0, _FIELDS[self.kind][name].type)
        assert isinstance(value, np.ndarray)
        return value

    def integers(self, name: str) -> tuple[int, ...]:
        """A vector of scalars; empty if absent."""
        return tuple(self.vector(name).tolist())

    def text(self, name: str) -> str:
        """A string; empty if absent."""
        value = self.fields.get(name, b"")
        assert isinstance(value, bytes)
        return value.decode("utf-8", "replace")

    def table(self, name: str) -> Table | None:
        """A table; None if absent."""
        value = self.fields.get(name)
        assert value is None or isinstance(value, Table)
        return value

    def tables(self, name: str) -> list[Table]:
        """A vector of tables, the list itself; empty if absent."""
        value = self.fields.get(name, [])
        assert isinstance(value, list)
        return value

    def append(self, name: str, table: Table) -> int:
        """Adds to a vector of tables; returns the number of the new one."""
        tables = self.fields.setdefault(name, [])
        assert isinstance(tables, list)
        tables.append(table)
        return len(tables) - 1


def _value(field: Field, value: Any) -> Value:
    if field.scalar and field.vector:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return np.frombuffer(value, field.type) if len(value) else np.empty(0, field.type)
        return np.asarray(value, field.type).reshape(-1)
    if field.scalar:
        return np.float32(value) if field.type == "<f4" else int(value)
    if field.type == "text":
        return value.encode() if isinstance(value, str) else bytes(value)
    tables = value if field.vector else [value]
    known = UNIONS.get(field.type, (field.type,))
    assert all(table.kind in known for table in tables), (field.name, tables)
    return list(tables) if field.vector else value


def _same(one: Value, other: Value) -> bool:
    if isinstance(one, (np.ndarray, np.float32)):
        return isinstance(other, type(one)) and one.tobytes() == other.tobytes()
    return one == other
