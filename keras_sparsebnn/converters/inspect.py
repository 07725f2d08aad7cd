"""What is in a .tflite: operator by operator, byte by byte. Needs no TensorFlow."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_sparsebnn.converters.filters.decoding_work import DecodingWork
from keras_sparsebnn.converters.filters.packed import (
    BCONV,
    PackedFilter,
    codeword_ids,
    packed_filters,
)
from keras_sparsebnn.converters.filters.sub_bit import (
    KERNEL_SIZE,
    SUB_BIT_BCONV,
    SubBitFilter,
    sub_bit_bytes,
    sub_bit_filters,
)
from keras_sparsebnn.errors import printable
from keras_sparsebnn.tflite_file import Model, ModelFileError, Tensor, read

__all__ = ["BinaryLayer", "ModelReport", "TensorReport", "inspect"]

BINARY_FILTERS = "binary filters"
INDICES = "codebook indices"
CODEBOOKS = "codebooks"
THRESHOLDS = "binary thresholds"
METADATA = "metadata"
ASSOCIATED_FILES = "associated files"
UNUSED = "unused buffers"
STRUCTURE = "structure"


@dataclass(frozen=True)
class TensorReport:
    """An input or output of the model."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class BinaryLayer:
    """One `LceBconv2d` or `SparsebnnBconv2d`.

    Attributes:
        index: its position among the operators.
        name: name of its output tensor.
        input_shape: shape of the activations before packing, `[N, H, W, Cin]`.
        filter_shape: `[Cout, Kh, Kw, Cin / groups]`.
        output_shape: `[N, H, W, Cout]`.
        output_type: "FLOAT32", "INT8", or "bits" if it feeds another binary layer directly.
        groups: 1 for an ordinary convolution.
        options: the options in the file, by name.
        storage: "1 bit" (for each weight), or "codebook" (and indices).
        filter_bytes: size of the filter as it is stored.
        distinct_codewords: how many different kernels it has; None if no codebook exists for
            the kernel size.
        sub_bit_bytes: size that a 3x3 filter has, or would have, as indices into a codebook of
            its distinct kernels; None if that is not smaller than 1 bit for each weight.
    """

    index: int
    name: str
    input_shape: tuple[int, ...]
    filter_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    output_type: str
    groups: int
    options: dict[str, int | float | str | bool]
    storage: str
    filter_bytes: int
    distinct_codewords: int | None
    sub_bit_bytes: int | None


@dataclass(frozen=True)
class ModelReport:
    """What `inspect` found; `str()` is a table.

    Attributes:
        file_bytes: size of the whole file.
        description: the program that wrote the file, in its own words.
        inputs: the model's inputs.
        outputs: the model's outputs.
        operators: name -> number of operators, most frequent first.
        bytes_by_kind: what the bytes hold -> how many; they add up to `file_bytes`.
        binary_layers: every binary convolution, in execution order.
        sub_bit_savings: bytes that could be saved by storing filters as codebook indices, not
            counting filters that are stored so already.
    """

    file_bytes: int
    description: str
    inputs: tuple[TensorReport, ...]
    outputs: tuple[TensorReport, ...]
    operators: dict[str, int]
    bytes_by_kind: dict[str, int]
    binary_layers: tuple[BinaryLayer, ...]
    sub_bit_savings: int

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain dictionaries and lists, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        ends = [
            [end, tensor.name, _shape(tensor.shape), tensor.dtype]
            for end, tensors in (("input", self.inputs), ("output", self.outputs))
            for tensor in tensors
        ]
        sizes = [
            [kind, f"{size:,}", f"{100 * size / self.file_bytes:.1f} %"]
            for kind, size in self.bytes_by_kind.items()
        ]
        sizes.append(["total", f"{self.file_bytes:,}", "100.0 %"])
        parts = [
            _table(["", "name", "shape", "type"], ends),
            _table(["operator", "count"], [[n, str(c)] for n, c in self.operators.items()]),
            _table(["what", "bytes", "share"], sizes),
        ]
        if self.binary_layers:
            header = ["#", "binary layer", "in", "filter", "out", "type", "stride"]
            header += ["padding", "bytes", "codewords", "sub-bit bytes"]
            parts.append(_table(header, [_row(layer) for layer in self.binary_layers]))
            stored = sum(layer.storage == "codebook" for layer in self.binary_layers)
            if stored:
                parts.append(
                    f"{stored} of {len(self.binary_layers)} filters are stored as codebook "
                    "indices."
                )
            if stored < len(self.binary_layers):
                parts.append(
                    f"Storing filters as codebook indices would save {self.sub_bit_savings:,} "
                    f"bytes ({100 * self.sub_bit_savings / self.file_bytes:.1f} % of the file)."
                )
        return "\n\n".join(parts)


def inspect(source: bytes | str | os.PathLike[str]) -> ModelReport:
    """Reads any .tflite, LCE's or not, and says what is in it.

    Args:
        source: a path, or the bytes of the file.

    Raises:
        ModelFileError: no such file, not a .tflite, truncated or damaged.
    """
    model = read(source)
    counts = Counter(op.name for graph in model.subgraphs for op in graph.operators)
    layers: list[tuple[int, BinaryLayer]] = []
    saved: dict[int, int] = {}
    work = DecodingWork(model)
    seen: dict[tuple[int, tuple[int, ...], int], int | None] = {}
    for packed in packed_filters(model):
        # A filter that several operators share is decoded once.
        key = (packed.filter.buffer, packed.filter.shape, packed.channels)
        if key not in seen:
            work.spend(packed.words.nbytes)
            ids = codeword_ids(packed.negative)
            seen[key] = None if ids is None else len(np.unique(ids))
        layer = _binary_layer(packed, seen[key])
        layers.append((packed.subgraph, layer))
        if layer.sub_bit_bytes is not None:
            saved[packed.filter.buffer] = layer.filter_bytes - layer.sub_bit_bytes
    for stored in sub_bit_filters(model):
        layers.append((stored.subgraph, _sub_bit_layer(stored)))
    layers.sort(key=lambda place: (place[0], place[1].index))
    main = model.subgraphs[0]
    return ModelReport(
        file_bytes=len(model.flat),
        description=model.root.text("description"),
        inputs=_infos(main.tensors[i] for i in main.inputs),
        outputs=_infos(main.tensors[i] for i in main.outputs),
        operators=dict(counts.most_common()),
        bytes_by_kind=_bytes_by_kind(model),
        binary_layers=tuple(layer for _, layer in layers),
        sub_bit_savings=sum(saved.values()),
    )


def _binary_layer(packed: PackedFilter, distinct: int | None) -> BinaryLayer:
    outputs, height, width, _ = packed.words.shape
    stored = packed.words.nbytes
    smaller = None
    if distinct is not None and (height, width) == (KERNEL_SIZE, KERNEL_SIZE):
        size = sub_bit_bytes(outputs * packed.channels, distinct)
        smaller = size if size < stored else None
    return _layer(packed, (outputs, height, width), "1 bit", stored, distinct, smaller)


def _sub_bit_layer(stored: SubBitFilter) -> BinaryLayer:
    size = stored.indices.shape[0] + 2 * stored.codebook.shape[0]
    kernels = (len(stored.ids), KERNEL_SIZE, KERNEL_SIZE)
    distinct = len(np.unique(stored.ids))
    return _layer(stored, kernels, "codebook", size, distinct, size)


def _layer(
    found: PackedFilter | SubBitFilter,
    kernels: tuple[int, int, int],
    storage: str,
    stored: int,
    distinct: int | None,
    smaller: int | None,
) -> BinaryLayer:
    bits = found.output.dtype == "INT32"
    return BinaryLayer(
        index=found.index,
        name=found.output.name,
        input_shape=(*found.input.shape[:3], found.channels * found.groups),
        filter_shape=(*kernels, found.channels),
        output_shape=(*found.output.shape[:3], kernels[0]),
        output_type="bits" if bits else found.output.dtype,
        groups=found.groups,
        options=found.operator.options,
        storage=storage,
        filter_bytes=stored,
        distinct_codewords=distinct,
        sub_bit_bytes=smaller,
    )


def _infos(tensors: Iterable[Tensor]) -> tuple[TensorReport, ...]:
    return tuple(TensorReport(tensor.name, tensor.shape, tensor.dtype) for tensor in tensors)


_BINARY_CONSTANTS = {
    BCONV: ((1, "INT32", BINARY_FILTERS), (4, "INT32", THRESHOLDS)),
    SUB_BIT_BCONV: (
        (1, "UINT8", INDICES),
        (2, "UINT16", CODEBOOKS),
        (5, "INT32", THRESHOLDS),
    ),
}


def _bytes_by_kind(model: Model) -> dict[str, int]:
    """Each buffer once, by what its first reader is; the rest of the file is structure."""
    kinds: dict[int, str] = dict.fromkeys(model.metadata.values(), METADATA)
    for graph in model.subgraphs:
        for operator in graph.operators:
            for place, dtype, kind in _BINARY_CONSTANTS.get(operator.name, ()):
                index = operator.inputs[place] if place < len(operator.inputs) else -1
                if index >= 0 and graph.tensors[index].dtype == dtype:
                    kinds.setdefault(graph.tensors[index].buffer, kind)
        for tensor in graph.tensors:
            kinds.setdefault(tensor.buffer, f"{tensor.dtype.lower()} constants")
    total: Counter[str] = Counter()
    end = 0
    buffers = [(*model.place(i), i) for i in range(len(model.root.tables("buffers")))]
    for place, size, index in sorted(buffer for buffer in buffers if buffer[1]):
        if place < end:
            raise ModelFileError(
                f"Expected buffers that do not overlap, got buffer {index} at byte {place}, "
                f"before the previous one ends at {end}. The file is damaged."
            )
        end = place + size
        total[kinds.get(index, UNUSED)] += size
    if model.behind:
        total[ASSOCIATED_FILES] = len(model.behind)
    total[STRUCTURE] = len(model.flat) - sum(total.values())
    return dict(total.most_common())


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _row(layer: BinaryLayer) -> list[str]:
    options = layer.options
    code = options.get("padding")
    padding = "same" if code == 0 else "valid" if code == 1 else "?"
    if padding == "same":
        padding += f" {options.get('pad_values', 0)}"
    unknown = layer.distinct_codewords is None
    return [
        str(layer.index),
        layer.name.split(";")[0],
        _shape(layer.input_shape[1:]),
        _shape(layer.filter_shape),
        _shape(layer.output_shape[1:]),
        layer.output_type.lower(),
        str(options.get("stride_height", "?")),
        padding,
        f"{layer.filter_bytes:,}",
        "-" if unknown else str(layer.distinct_codewords),
        "-" if layer.sub_bit_bytes is None else f"{layer.sub_bit_bytes:,}",
    ]


def _table(header: list[str], rows: list[list[str]]) -> str:
    """Columns of text; numbers to the right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, ["-" * width for width in widths], *rows):
        cells = [
            cell.rjust(width) if cell[:1].isdigit() and "x" not in cell else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
