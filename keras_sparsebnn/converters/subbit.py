"""LCE .tflite <-> sub-bit .tflite, lossless both ways. FORMAT.md specifies the format.

`compress` replaces every 3x3 `LceBconv2d` whose filter is smaller as indices into a codebook
by `SparsebnnBconv2d`; `expand` undoes it. Everything else in the file is copied unchanged:
tensors keep their numbers and names, and new ones are added at the end. A layer that could not
be restored bit by bit is left alone.

NumPy only: no TensorFlow.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.converters.filters.packed import (
    BCONV,
    PackedFilter,
    codeword_ids,
    packed_filters,
)
from keras_sparsebnn.converters.filters.sub_bit import (
    FORMAT_VERSION,
    KERNEL_SIZE,
    SUB_BIT_BCONV,
    filter_bytes,
    filter_words,
    index_bits,
    pack_indices,
    sub_bit_bytes,
    sub_bit_filters,
)
from keras_sparsebnn.tflite_file import (
    Model,
    ModelFileError,
    Operator,
    Table,
    operator_code,
    operator_name,
    read,
)
from keras_sparsebnn.tflite_file.flexbuffer import write_map
from keras_sparsebnn.tflite_file.schema import TENSOR_TYPES

__all__ = ["compress", "expand"]

_INT32, _UINT8, _UINT16 = map(TENSOR_TYPES.index, ("INT32", "UINT8", "UINT16"))

_OWN_OPTIONS = ("channels_out", "format_version", "groups", "index_bits")

_OVERHEAD_BYTES = 200
"""What a layer takes besides its indices and codebook: four more options in a map that fewer
layers share, the codebook's tensor and buffer, alignment. On random networks 100 to 230."""

_KNOWN_FIELDS = {"shape", "type", "buffer", "name", "has_rank", "quantization"}
"""Fields of a filter's tensor; a layer whose filter has others is left alone."""

Place = tuple[int, int]
"""Number of a subgraph, number of a tensor or an operator in it."""


@dataclass(frozen=True)
class _Codebook:
    """A filter as it will be stored."""

    bits: int
    indices: bytes
    codewords: bytes


def compress(model: bytes | str | os.PathLike[str]) -> bytes:
    """Stores binary 3x3 filters as indices into codebooks, wherever that is smaller.

    Args:
        model: the bytes of a .tflite with `LceBconv2d`, or its path.

    Returns:
        The sub-bit file; the file as it is if that would not be smaller.

    Raises:
        ModelFileError: damaged, compressed already, or of a newer schema.
    """
    file = read(model)
    if any(operator.name == SUB_BIT_BCONV for g in file.subgraphs for operator in g.operators):
        raise ModelFileError(
            f"Expected a file with {BCONV} only, got {SUB_BIT_BCONV}: it is compressed "
            "already. Expand it first."
        )
    layers = _compressible(file)
    if not layers:
        return file.flat
    own = operator_code(file.root, SUB_BIT_BCONV)
    books: dict[tuple[int, bytes], int] = {}
    buffers: dict[bytes, int] = {}
    for packed, stored in layers:
        graph = file.subgraphs[packed.subgraph].table
        key = (packed.subgraph, stored.codewords)
        if key not in books:
            books[key] = _add_codebook(file.root, graph, stored.codewords, buffers)
        packed.filter.table["type"] = _UINT8
        packed.filter.table["shape"] = [len(stored.indices)]
        file.root.tables("buffers")[packed.filter.buffer]["data"] = stored.indices
        operator = packed.operator.table
        operator["opcode_index"] = own
        operator["inputs"] = np.insert(packed.operator.inputs, 2, books[key])
        operator["custom_options"] = write_map(
            {
                **_integers(packed.operator),
                "channels_out": packed.words.shape[0],
                "format_version": FORMAT_VERSION,
                "groups": packed.groups,
                "index_bits": stored.bits,
            }
        )
    result = file.to_bytes()
    return result if len(result) < len(file.flat) else file.flat


def _add_codebook(root: Table, graph: Table, data: bytes, buffers: dict[bytes, int]) -> int:
    """The number of a new tensor at the end; layers with equal codewords share it."""
    if data not in buffers:
        buffers[data] = root.append("buffers", Table("Buffer", data=data))
    tensor = Table(
        "Tensor",
        name=f"codebook{buffers[data]}",
        shape=[len(data) // 2],
        type=_UINT16,
        buffer=buffers[data],
    )
    return graph.append("tensors", tensor)


def _compressible(file: Model) -> list[tuple[PackedFilter, _Codebook]]:
    """The layers to convert, and how.

    Filters that share a buffer are converted together or not at all, as are the layers that
    share a filter.
    """
    if _code(file, SUB_BIT_BCONV) is not None:
        return []  # one that nothing uses; `expand` takes the last one for its own
    users: dict[int, list[PackedFilter]] = defaultdict(list)
    for packed in packed_filters(file):
        users[packed.filter.buffer].append(packed)
    readers = _readers(file)
    metadata = {*file.metadata.values(), *file.root.integers("metadata_buffer")}
    owners: dict[int, set[Place]] = defaultdict(set)
    for number, graph in enumerate(file.subgraphs):
        for index, tensor in enumerate(graph.tensors):
            owners[tensor.buffer].add((number, index))
    plain = _code(file, BCONV)
    result = []
    for buffer, layers in users.items():
        places = {((p.subgraph, p.index), 1) for p in layers}
        if (
            buffer not in metadata
            and all(readers[owner] <= places for owner in owners[buffer])
            and all(_restorable(packed, plain) for packed in layers)
            and len({(p.words.shape, p.channels) for p in layers}) == 1
        ):
            stored = _codebook(layers[0])
            if stored is not None:
                result += [(packed, stored) for packed in layers]
    return sorted(result, key=lambda layer: (layer[0].subgraph, layer[0].index))


def _readers(file: Model) -> dict[Place, set[tuple[Place | None, int]]]:
    """For each tensor, who reads it as which input; (None, 0) stands for any other mention."""
    found: dict[Place, set[tuple[Place | None, int]]] = defaultdict(set)
    for number, graph in enumerate(file.subgraphs):
        for index, operator in enumerate(graph.operators):
            for place, tensor in enumerate(operator.inputs):
                found[number, tensor].add(((number, index), place))
            for tensor in (*operator.outputs, *operator.table.integers("intermediates")):
                found[number, tensor].add((None, 0))
        for tensor in (*graph.inputs, *graph.outputs):
            found[number, tensor].add((None, 0))
    for signature in file.root.tables("signature_defs"):
        number = signature.integer("subgraph_index")
        for entry in (*signature.tables("inputs"), *signature.tables("outputs")):
            found[number, entry.integer("tensor_index")].add((None, 0))
    return found


def _restorable(packed: PackedFilter, plain: int | None) -> bool:
    """Whether `expand` would write the layer exactly as it is."""
    operator, options = packed.operator, _integers(packed.operator)
    return (
        packed.words.shape[1:3] == (KERNEL_SIZE, KERNEL_SIZE)
        and (len(operator.inputs), len(operator.outputs)) == (5, 1)
        and operator.table.integer("opcode_index") == plain
        and {*packed.filter.table.fields} <= _KNOWN_FIELDS
        and not set(options) & set(_OWN_OPTIONS)
        and write_map(options) == operator.table.vector("custom_options").tobytes()
        and packed.words.shape[0] % packed.groups == 0
    )


def _integers(operator: Operator) -> dict[str, int]:
    return {name: value for name, value in operator.options.items() if type(value) is int}


def _code(file: Model, name: str) -> int | None:
    """The number of the first operator code of that name."""
    names = [*map(operator_name, file.root.tables("operator_codes"))]
    return names.index(name) if name in names else None


def _codebook(packed: PackedFilter) -> _Codebook | None:
    """How to store the filter; None if that saves nothing or would lose set bits of padding."""
    ids = codeword_ids(packed.negative)
    assert ids is not None
    codewords, indices = np.unique(ids, return_inverse=True)
    size = sub_bit_bytes(indices.size, len(codewords))
    if size + _OVERHEAD_BYTES >= packed.words.nbytes:
        return None
    if not np.array_equal(filter_words(ids), packed.words):
        return None
    bits = index_bits(len(codewords))
    return _Codebook(bits, pack_indices(indices, bits), codewords.astype("<u2").tobytes())


def expand(model: bytes | str | os.PathLike[str]) -> bytes:
    """Turns every `SparsebnnBconv2d` back into LCE's layer; `expand(compress(m))` equals `m`.

    It does in every table: tensors with names, shapes, types and data, operators with options,
    signatures, metadata. Only the order of the tables in the file may differ.

    Args:
        model: the bytes of a sub-bit .tflite, or its path.

    Returns:
        The LCE file; the file as it is if there is nothing to expand.

    Raises:
        ModelFileError: damaged, breaks a rule of FORMAT.md, or of a newer version.
    """
    file = read(model)
    layers = list(sub_bit_filters(file))
    if not layers:
        return file.flat
    codes = file.root.tables("operator_codes")
    own, plain = _code(file, SUB_BIT_BCONV), _code(file, BCONV)
    if plain is None or own != len(codes) - 1:
        raise _not_ours(f"operator codes {BCONV} and, as the last one, {SUB_BIT_BCONV}")
    readers = _readers(file)
    books: dict[int, set[int]] = defaultdict(set)
    book_buffers = set()
    restored: dict[int, tuple[npt.NDArray[np.uint16], tuple[int, ...]]] = {}
    left = 2**31 - len(file.flat)
    for layer in layers:
        operator, inputs = layer.operator.table, layer.operator.inputs
        for place in (1, 2):
            if any(p != place for _, p in readers[layer.subgraph, inputs[place]]):
                raise _not_ours("indices and codebooks that nothing else reads")
        buffer = layer.indices.buffer
        if buffer not in restored:
            left -= filter_bytes(layer.ids.shape)
            if left < 0:
                raise _not_ours("filters that fit a file of 2 GiB")
            words = filter_words(layer.ids)
            restored[buffer] = layer.ids, words.shape
            file.root.tables("buffers")[buffer]["data"] = words.tobytes()
        ids, shape = restored[buffer]
        if not np.array_equal(ids, layer.ids):
            raise _not_ours("layers that share their indices to have equal filters")
        layer.indices.table["type"] = _INT32
        layer.indices.table["shape"] = shape
        operator["opcode_index"] = plain
        operator["inputs"] = np.delete(inputs, 2)
        options = _integers(layer.operator)
        if len(options) != len(layer.operator.options):
            raise _not_ours("options that are integers")
        operator["custom_options"] = write_map(
            {name: options[name] for name in options if name not in _OWN_OPTIONS}
        )
        books[layer.subgraph].add(inputs[2])
        book_buffers.add(layer.codebook.buffer)
    codes.pop()
    for number, indices in books.items():
        _drop_tail(file.subgraphs[number].table.tables("tensors"), indices, "codebooks")
    _drop_tail(file.root.tables("buffers"), book_buffers, "codebooks' buffers")
    _check_buffers(file.root)
    return file.to_bytes()


def _drop_tail(tables: list[Table], indices: set[int], what: str) -> None:
    if indices != set(range(len(tables) - len(indices), len(tables))):
        raise _not_ours(f"the {what} after all others")
    del tables[len(tables) - len(indices) :]


def _check_buffers(root: Table) -> None:
    count = len(root.tables("buffers"))
    named: Iterable[int] = (
        *(t.integer("buffer") for g in root.tables("subgraphs") for t in g.tables("tensors")),
        *(table.integer("buffer") for table in root.tables("metadata")),
        *root.integers("metadata_buffer"),
    )
    if any(buffer >= count for buffer in named):
        raise _not_ours("buffers of codebooks that nothing else uses")


def _not_ours(expected: str) -> ModelFileError:
    return ModelFileError(
        f"Expected {expected} in a sub-bit file, got something else. The file is damaged, or "
        "not from keras_sparsebnn."
    )
