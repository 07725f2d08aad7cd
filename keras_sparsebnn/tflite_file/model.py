"""A .tflite as typed values: operators, tensors and constants."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.tflite_file.associated_files import moved
from keras_sparsebnn.tflite_file.flexbuffer import Options, read_map
from keras_sparsebnn.tflite_file.reader import (
    MAX_FILE_BYTES,
    ModelFileError,
    check_size,
    operator_number,
    read_tables,
)
from keras_sparsebnn.tflite_file.schema import BUILTIN_OPERATORS, TENSOR_TYPES
from keras_sparsebnn.tflite_file.table import Table
from keras_sparsebnn.tflite_file.writer import write_tables

__all__ = [
    "CUSTOM",
    "Model",
    "Operator",
    "Subgraph",
    "Tensor",
    "operator_name",
    "read",
    "read_bytes",
]

CUSTOM = BUILTIN_OPERATORS.index("CUSTOM")

_MAX_OPTIONS_BYTES = 4096

"""LCE's options take about 200 bytes; reading keys is quadratic in this bound."""

_BLOCK = 1 << 20
"""Bytes that are asked of a pipe at a time."""

_NUMBERS = {"FLOAT32": "<f4", "INT8": "i1", "UINT8": "u1", "UINT16": "<u2", "INT32": "<i4"}
"""NumPy's names of the types that `Model.constant` reads."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor; `buffer` is the number of the buffer with its constant data, if any."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    buffer: int
    table: Table = field(repr=False)


@dataclass(frozen=True, eq=False)
class Operator:
    """One node; `name` is the builtin's name or the custom code, -1 an absent tensor."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    table: Table = field(repr=False)

    @cached_property
    def options(self) -> Options:
        """The options of a custom operator that are scalars or texts.

        Raises:
            ModelFileError: damaged.
        """
        data = self.table.vector("custom_options")
        return read_map(data.tobytes()) if len(data) <= _MAX_OPTIONS_BYTES else {}


@dataclass(frozen=True, eq=False)
class Subgraph:
    """One graph."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    table: Table = field(repr=False)


@dataclass(frozen=True, eq=False)
class Model:
    """A whole file, as it was read. To change it, change `root` or the tables in it.

    Attributes:
        flat: the bytes it was read from.
        root: its tables.
        behind: the bytes behind the flatbuffer.
        subgraphs: its graphs; the first is the model, the others are what operators call.
        metadata: name -> number of a buffer.
        input_names: the first signature's name of an input -> number of its tensor.
        output_names: the same for outputs.
    """

    flat: bytes = field(repr=False)
    root: Table = field(repr=False)
    behind: bytes = field(repr=False)
    subgraphs: tuple[Subgraph, ...]
    metadata: dict[str, int]
    input_names: dict[str, int]
    output_names: dict[str, int]

    def data(self, tensor: Tensor) -> memoryview:
        """The tensor's constant data, a view of the file; empty for an activation."""
        return self.root.tables("buffers")[tensor.buffer].vector("data").data

    def constant(self, tensor: Tensor, dtype: str) -> npt.NDArray[Any]:
        """The constant data of a tensor that must be of `dtype`, in its shape.

        Raises:
            ModelFileError: type, shape and data do not match.
        """
        data, numbers = self.data(tensor), np.dtype(_NUMBERS[dtype])
        count = 1  # Python integers: the product of a damaged shape may have any size
        for extent in tensor.shape:
            count *= extent
        if tensor.dtype != dtype or len(data) != numbers.itemsize * count:
            raise ModelFileError(
                f"Expected {dtype} data of shape {list(tensor.shape)}, got {tensor.dtype} and "
                f"{len(data)} bytes (tensor {tensor.name!r}). The file is damaged."
            )
        return np.frombuffer(data, numbers).reshape(tensor.shape)

    def place(self, buffer: int) -> tuple[int, int]:
        """`(offset, bytes)` of a constant buffer in `flat`; (0, 0) if it is empty."""
        data = self.root.tables("buffers")[buffer].vector("data")
        start = np.frombuffer(self.flat, np.uint8).__array_interface__["data"][0]
        return (data.__array_interface__["data"][0] - start, len(data)) if len(data) else (0, 0)

    def to_bytes(self) -> bytes:
        """The file with its tables as they are now, and the bytes behind them.

        Raises:
            ModelFileError: it would be longer than 2 GiB, or comes from a newer TFLite.
        """
        flat = write_tables(self.root)
        return flat + moved(self.behind, len(self.flat) - len(self.behind), len(flat))


def operator_name(code: Table) -> str:
    """The builtin operator's name, or the custom code."""
    number = operator_number(code)
    if number == CUSTOM:
        return code.text("custom_code")
    known = 0 <= number < len(BUILTIN_OPERATORS)
    return BUILTIN_OPERATORS[number] if known else f"BUILTIN_{number}"


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes, unless it is too long for a .tflite.

    Raises:
        OSError: it cannot be read.
        ModelFileError: it is too long.
    """
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        check_size(max(size, 8))  # before it is read; a pipe has no size
        # Python makes room for as many bytes as it is asked for.
        parts = [file.read(size)]
        length = len(parts[0])
        while length <= MAX_FILE_BYTES and (part := file.read(_BLOCK)):
            parts.append(part)
            length += len(part)
    check_size(length)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read(source: bytes | str | os.PathLike[str]) -> Model:
    """Reads a file, or its bytes.

    Args:
        source: a path, or the bytes of a .tflite.

    Raises:
        ModelFileError: no such file, not a .tflite, truncated or damaged.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _model(bytes(source))
    where = f" ({os.fspath(source)})"
    try:
        return _model(read_bytes(source))
    except ModelFileError as error:
        raise ModelFileError(f"{str(error).removesuffix('.')}{where}.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(
            f"Expected a .tflite that can be read, got: {reason}{where}."
        ) from error


def _model(flat: bytes) -> Model:
    root, end = read_tables(flat)
    codes = [operator_name(code) for code in root.tables("operator_codes")]
    signatures = [s for s in root.tables("signature_defs") if not s.integer("subgraph_index")]
    names: list[dict[str, int]] = [
        {entry.text("name"): entry.integer("tensor_index") for entry in s.tables(side)}
        for s in signatures[:1]
        for side in ("inputs", "outputs")
    ]
    return Model(
        flat,
        root,
        flat[end:],
        tuple(_subgraph(graph, codes) for graph in root.tables("subgraphs")),
        {entry.text("name"): entry.integer("buffer") for entry in root.tables("metadata")},
        *(names or ({}, {})),
    )


def _subgraph(graph: Table, codes: list[str]) -> Subgraph:
    return Subgraph(
        tuple(
            Tensor(
                table.text("name"),
                table.integers("shape"),
                _type_name(table.integer("type")),
                table.integer("buffer"),
                table,
            )
            for table in graph.tables("tensors")
        ),
        tuple(
            Operator(
                codes[table.integer("opcode_index")],
                table.integers("inputs"),
                table.integers("outputs"),
                table,
            )
            for table in graph.tables("operators")
        ),
        graph.integers("inputs"),
        graph.integers("outputs"),
        graph,
    )


def _type_name(number: int) -> str:
    return TENSOR_TYPES[number] if 0 <= number < len(TENSOR_TYPES) else f"TYPE_{number}"
