"""LCE .tflite <-> sub-bit .tflite, lossless both ways. FORMAT.md specifies the format.

`compress` replaces every 3x3 `LceBconv2d` whose filter is smaller as indices into a codebook
by `SparsebnnBconv2d`; `expand` undoes it. Everything else in the file is copied as it is:
tensors keep their numbers and names, and what is new lies behind what was there. What could
not be restored to the bit stays as it is.

NumPy and FlatBuffers only: no TensorFlow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from flatbuffers import flexbuffers

from keras_sparsebnn.tflite_file.tree import Table, read_tree, write_tree
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
    filter_words,
    index_bits,
    pack_indices,
    sub_bit_bytes,
    sub_bit_filters,
)
from keras_sparsebnn.tflite_file.reader import Model, ModelFileError, read

__all__ = ["compress", "expand"]

_CUSTOM = 32  # BuiltinOperator.CUSTOM
_INT32, _UINT8, _UINT16 = 2, 3, 16  # TensorType

_OWN_OPTIONS = ("channels_out", "format_version", "groups", "index_bits")

_OVERHEAD_BYTES = 200
"""What a layer takes beside stream and codebook: four more options, which are then shared with
fewer layers, the codebook's tensor and buffer, alignment. On random networks 100 to 230."""

Place = tuple[int, int]
"""Number of a subgraph, number of a tensor or an operator in it."""


@dataclass(frozen=True)
class _Codebook:
    """A filter as it will be stored."""

    bits: int
    indices: bytes
    codewords: bytes


def compress(model: bytes) -> bytes:
    """Stores binary 3x3 filters as indices into codebooks, wherever that is smaller.

    Args:
        model: the bytes of a .tflite with `LceBconv2d`.

    Returns:
        The sub-bit file; `model` itself if that would not be smaller.

    Raises:
        ModelFileError: damaged, compressed already, or of a newer schema.
    """
    file = read(model)
    if any(operator.name == SUB_BIT_BCONV for g in file.subgraphs for operator in g.operators):
        raise ModelFileError(
            f"Expected a file with {BCONV} only, got {SUB_BIT_BCONV}: it is compressed "
            "already. Expand it first."
        )
    root = read_tree(model)
    layers = _compressible(file, root)
    if not layers:
        return model
    code = Table("OperatorCode", {"custom_code": SUB_BIT_BCONV.encode()})
    code.set_integer("deprecated_builtin_code", _CUSTOM)
    code.set_integer("builtin_code", _CUSTOM)
    code.set_integer("version", 1)
    own = root.append("operator_codes", code)
    books: dict[tuple[int, bytes], int] = {}
    buffers: dict[bytes, int] = {}
    for packed, stored in layers:
        graph = root.tables("subgraphs")[packed.subgraph]
        key = (packed.subgraph, stored.codewords)
        if key not in books:
            books[key] = _add_codebook(root, graph, stored.codewords, buffers)
        filter = graph.tables("tensors")[packed.operator.inputs[1]]
        filter.set_integer("type", _UINT8)
        filter.set_integers("shape", [len(stored.indices)])
        root.tables("buffers")[packed.filter.buffer].fields["data"] = stored.indices
        operator = graph.tables("operators")[packed.index]
        operator.set_integer("opcode_index", own)
        operator.set_integers("inputs", np.insert(packed.operator.inputs, 2, books[key]))
        operator.fields["custom_options"] = _flexbuffer(
            {
                **packed.operator.options,
                "channels_out": packed.words.shape[0],
                "format_version": FORMAT_VERSION,
                "groups": packed.groups,
                "index_bits": stored.bits,
            }
        )
    result = write_tree(root)
    return result if len(result) < len(model) else model


def _add_codebook(root: Table, graph: Table, data: bytes, buffers: dict[bytes, int]) -> int:
    """A new tensor at the end; layers with equal codewords share it."""
    if data not in buffers:
        buffers[data] = root.append("buffers", Table("Buffer", {"data": data}))
    tensor = Table("Tensor", {"name": f"codebook{buffers[data]}".encode()})
    tensor.set_integers("shape", [len(data) // 2])
    tensor.set_integer("type", _UINT16)
    tensor.set_integer("buffer", buffers[data])
    return graph.append("tensors", tensor)


def _compressible(file: Model, root: Table) -> list[tuple[PackedFilter, _Codebook]]:
    """The layers to convert, and how.

    Filters that share a buffer are converted together or not at all, as are the layers that
    share a filter.
    """
    users: dict[int, list[PackedFilter]] = defaultdict(list)
    for packed in packed_filters(file):
        users[packed.filter.buffer].append(packed)
    readers = _readers(file, root)
    metadata = {
        *(table.integer("buffer") for table in root.tables("metadata")),
        *root.integers("metadata_buffer").tolist(),
    }
    result = []
    for buffer, layers in users.items():
        owners = {
            (number, tensor)
            for number, graph in enumerate(file.subgraphs)
            for tensor, known in enumerate(graph.tensors)
            if known.buffer == buffer
        }
        places = {((p.subgraph, p.index), 1) for p in layers}
        if (
            buffer not in metadata
            and all(readers[owner] <= places for owner in owners)
            and all(_restorable(packed, root) for packed in layers)
            and len({(p.words.shape, p.channels) for p in layers}) == 1
        ):
            stored = _codebook(layers[0])
            if stored is not None:
                result += [(packed, stored) for packed in layers]
    return sorted(result, key=lambda layer: (layer[0].subgraph, layer[0].index))


def _readers(file: Model, root: Table) -> dict[Place, set[tuple[Place | None, int]]]:
    """For each tensor the operators that name it, and as which input; (None, 0) for others."""
    found: dict[Place, set[tuple[Place | None, int]]] = defaultdict(set)
    for number, (graph, table) in enumerate(
        zip(file.subgraphs, root.tables("subgraphs"), strict=True)
    ):
        for index, (operator, raw) in enumerate(
            zip(graph.operators, table.tables("operators"), strict=True)
        ):
            for place, tensor in enumerate(operator.inputs):
                found[number, tensor].add(((number, index), place))
            for tensor in (*operator.outputs, *raw.integers("intermediates").tolist()):
                found[number, tensor].add((None, 0))
        for tensor in (*graph.inputs, *graph.outputs):
            found[number, tensor].add((None, 0))
    for signature in root.tables("signature_defs"):
        for entry in (*signature.tables("inputs"), *signature.tables("outputs")):
            graph_number = signature.integer("subgraph_index")
            found[graph_number, entry.integer("tensor_index")].add((None, 0))
    return found


def _restorable(packed: PackedFilter, root: Table) -> bool:
    """Whether `expand` would write the layer and its filter exactly as they are."""
    if (
        packed.words.shape[1:3] != (KERNEL_SIZE, KERNEL_SIZE)
        or len(packed.operator.inputs) != 5
    ):
        return False
    graph = root.tables("subgraphs")[packed.subgraph]
    tensor = graph.tables("tensors")[packed.operator.inputs[1]]
    operator = graph.tables("operators")[packed.index]
    options = packed.operator.options
    return (
        operator.integer("opcode_index") == _first_code(root, BCONV)
        and {*tensor.fields} <= {"shape", "type", "buffer", "name", "has_rank", "quantization"}
        and not set(options) & set(_OWN_OPTIONS)
        and all(type(value) is int for value in options.values())
        and _flexbuffer(options) == operator.data("custom_options")
        and packed.words.shape[0] % packed.groups == 0
        # Bits of channels that do not exist would be lost.
        and np.array_equal(_words(packed), packed.words)
    )


def _ids(packed: PackedFilter) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    ids = codeword_ids(packed.negative)
    assert ids is not None
    return ids.astype(np.uint16)


def _words(packed: PackedFilter) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return filter_words(_ids(packed))


def _first_code(root: Table, name: str) -> int | None:
    names = [
        code.data("custom_code") if code.integer("builtin_code") == _CUSTOM else b""
        for code in root.tables("operator_codes")
    ]
    return names.index(name.encode()) if name.encode() in names else None


def _codebook(packed: PackedFilter) -> _Codebook | None:
    """None if the packed filter is no larger."""
    codewords, indices = np.unique(_ids(packed), return_inverse=True)
    size = sub_bit_bytes(indices.size, len(codewords))
    if size + _OVERHEAD_BYTES >= packed.words.nbytes:
        return None
    bits = index_bits(len(codewords))
    return _Codebook(bits, pack_indices(indices, bits), codewords.astype("<u2").tobytes())


def _flexbuffer(options: dict[str, int | float | str | bool]) -> bytes:
    """A map of integers, byte for byte as LCE's converter writes it."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for name in sorted(options):
            builder.Int(name, options[name])
    return bytes(builder.Finish())


def expand(model: bytes) -> bytes:
    """Makes plain LCE layers of all `SparsebnnBconv2d`; `expand(compress(m))` equals `m`.

    Equal are all tables: tensors with names, shapes, types and data, operators with options,
    signatures, metadata. The order of the tables in the file is this package's.

    Args:
        model: the bytes of a sub-bit .tflite.

    Returns:
        The LCE file; `model` itself if there is nothing to expand.

    Raises:
        ModelFileError: damaged, breaks a rule of FORMAT.md, or of a newer version.
    """
    file = read(model)
    layers = list(sub_bit_filters(file))
    if not layers:
        return model
    root = read_tree(model)
    codes = root.tables("operator_codes")
    own, plain = _first_code(root, SUB_BIT_BCONV), _first_code(root, BCONV)
    if plain is None or own != len(codes) - 1:
        raise _not_ours(f"operator code {BCONV} and, behind all others, {SUB_BIT_BCONV}")
    readers = _readers(file, root)
    books: dict[int, set[int]] = defaultdict(set)
    book_buffers = set()
    restored: dict[int, bytes] = {}
    for layer in layers:
        graph = root.tables("subgraphs")[layer.subgraph]
        operator = graph.tables("operators")[layer.index]
        inputs = layer.operator.inputs
        if operator.integer("opcode_index") != own:
            raise _not_ours(f"one operator code {SUB_BIT_BCONV}")
        for place in (1, 2):
            if any(p != place for _, p in readers[layer.subgraph, inputs[place]]):
                raise _not_ours("indices and codebooks that nothing else reads")
        words = filter_words(layer.ids)
        if restored.setdefault(layer.indices.buffer, words.tobytes()) != words.tobytes():
            raise _not_ours("layers that share their indices to have equal filters")
        tensor = graph.tables("tensors")[inputs[1]]
        tensor.set_integer("type", _INT32)
        tensor.set_integers("shape", words.shape)
        root.tables("buffers")[layer.indices.buffer].fields["data"] = words.tobytes()
        operator.set_integer("opcode_index", plain)
        operator.set_integers("inputs", np.delete(inputs, 2))
        options = layer.operator.options
        if any(type(value) is not int for value in options.values()):
            raise _not_ours("options that are integers")
        operator.fields["custom_options"] = _flexbuffer(
            {name: options[name] for name in options if name not in _OWN_OPTIONS}
        )
        books[layer.subgraph].add(inputs[2])
        book_buffers.add(layer.codebook.buffer)
    codes.pop()
    for number, indices in books.items():
        _drop_tail(root.tables("subgraphs")[number].tables("tensors"), indices, "codebooks")
    _drop_tail(root.tables("buffers"), book_buffers, "codebooks' buffers")
    _check_buffers(root)
    return write_tree(root)


def _drop_tail(tables: list[Table], indices: set[int], what: str) -> None:
    if indices != set(range(len(tables) - len(indices), len(tables))):
        raise _not_ours(f"the {what} behind all others")
    del tables[len(tables) - len(indices) :]


def _check_buffers(root: Table) -> None:
    count = len(root.tables("buffers"))
    named: Iterable[int] = (
        *(t.integer("buffer") for g in root.tables("subgraphs") for t in g.tables("tensors")),
        *(table.integer("buffer") for table in root.tables("metadata")),
        *root.integers("metadata_buffer").tolist(),
    )
    if any(buffer >= count for buffer in named):
        raise _not_ours("buffers of codebooks that nothing else uses")


def _not_ours(expected: str) -> ModelFileError:
    return ModelFileError(
        f"Expected {expected} in a sub-bit file, got something else. The file is damaged, or "
        "not from keras_sparsebnn."
    )
