"""What is in a .tflite: operator by operator, byte by byte. Needs no TensorFlow."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_sparsebnn.converters.packed_filters import (
    BCONV,
    PackedFilter,
    codeword_ids,
    packed_filters,
)
from keras_sparsebnn.converters.tflite_reader import Model, ModelFileError, Tensor, read

__all__ = ["BinaryLayer", "ModelReport", "TensorInfo", "inspect"]

BINARY_FILTERS = "binary filters"
THRESHOLDS = "binary thresholds"
METADATA = "metadata"
UNUSED = "unused buffers"
STRUCTURE = "structure"


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of the model."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class BinaryLayer:
    """One `LceBconv2d`.

    Attributes:
        index: its position among the operators.
        name: of its output tensor.
        input_shape: of the activations before packing, `[N, H, W, Cin]`.
        filter_shape: `[Cout, Kh, Kw, Cin / groups]`.
        output_shape: `[N, H, W, Cout]`.
        output_type: "FLOAT32", "INT8", or "bits" if it feeds another binary layer directly.
        groups: 1 for an ordinary convolution.
        options: as the file has them.
        filter_bytes: of the packed filter.
        distinct_codewords: how many different kernels it has; None if no codebook exists for
            the kernel size.
        sub_bit_bytes: of the filter as indices into a codebook of the distinct kernels; None
            if that is no smaller.
    """

    index: int
    name: str
    input_shape: tuple[int, ...]
    filter_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    output_type: str
    groups: int
    options: dict[str, int | float | str | bool]
    filter_bytes: int
    distinct_codewords: int | None
    sub_bit_bytes: int | None


@dataclass(frozen=True)
class ModelReport:
    """What `inspect` found; `str()` is a table.

    Attributes:
        file_bytes: of the whole file.
        description: what the file's writer says of itself.
        inputs: of the model.
        outputs: of the model.
        operators: name -> how many, most frequent first.
        bytes_by_kind: what the bytes hold; adds up to `file_bytes`.
        binary_layers: every `LceBconv2d`, in execution order.
        sub_bit_savings: bytes that storing filters as codebook indices would save, in all.
    """

    file_bytes: int
    description: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
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
    layers: list[BinaryLayer] = []
    saved: dict[int, int] = {}
    seen: dict[tuple[int, tuple[int, ...], int], int | None] = {}
    for packed in packed_filters(model):
        # A filter that several operators share is decoded once.
        key = (packed.filter.buffer, packed.filter.shape, packed.channels)
        if key not in seen:
            ids = codeword_ids(packed.negative)
            seen[key] = None if ids is None else len(np.unique(ids))
        layer = _binary_layer(packed, seen[key])
        layers.append(layer)
        if layer.sub_bit_bytes is not None:
            saved[packed.filter.buffer] = layer.filter_bytes - layer.sub_bit_bytes
    main = model.subgraphs[0]
    return ModelReport(
        file_bytes=len(model.flat),
        description=model.description,
        inputs=_infos(main.tensors[i] for i in main.inputs),
        outputs=_infos(main.tensors[i] for i in main.outputs),
        operators=dict(counts.most_common()),
        bytes_by_kind=_bytes_by_kind(model),
        binary_layers=tuple(layers),
        sub_bit_savings=sum(saved.values()),
    )


def sub_bit_bytes(kernels: int, distinct: int, taps: int) -> int:
    """Bytes of `kernels` indices of `ceil(log2(distinct))` bits and a codebook of `taps` bits.

    Example:
        >>> sub_bit_bytes(64 * 64, 32, 9)  # 5/9 of 4,608, and 36 for the codebook
        2596
    """
    index_bits = (distinct - 1).bit_length()
    return -(-kernels * index_bits // 8) + -(-distinct * taps // 8)


def _binary_layer(packed: PackedFilter, distinct: int | None) -> BinaryLayer:
    outputs, height, width, _ = packed.words.shape
    stored = packed.words.nbytes
    smaller = None
    if distinct is not None:
        size = sub_bit_bytes(outputs * packed.channels, distinct, height * width)
        smaller = size if size < stored else None
    packed_output = packed.output.dtype == "INT32"
    return BinaryLayer(
        index=packed.index,
        name=packed.output.name,
        input_shape=(*packed.input.shape[:3], packed.channels * packed.groups),
        filter_shape=(outputs, height, width, packed.channels),
        output_shape=(*packed.output.shape[:3], outputs),
        output_type="bits" if packed_output else packed.output.dtype,
        groups=packed.groups,
        options=packed.operator.options,
        filter_bytes=stored,
        distinct_codewords=distinct,
        sub_bit_bytes=smaller,
    )


def _infos(tensors: Iterable[Tensor]) -> tuple[TensorInfo, ...]:
    return tuple(TensorInfo(tensor.name, tensor.shape, tensor.dtype) for tensor in tensors)


def _bytes_by_kind(model: Model) -> dict[str, int]:
    """Each buffer once, by what its first reader is; the rest of the file is structure."""
    kinds: dict[int, str] = dict.fromkeys(model.metadata.values(), METADATA)
    for graph in model.subgraphs:
        for operator in graph.operators:
            if operator.name != BCONV:
                continue
            for place, kind in ((1, BINARY_FILTERS), (4, THRESHOLDS)):
                index = operator.inputs[place] if place < len(operator.inputs) else -1
                if index >= 0 and graph.tensors[index].dtype == "INT32":
                    kinds.setdefault(graph.tensors[index].buffer, kind)
        for tensor in graph.tensors:
            kinds.setdefault(tensor.buffer, f"{tensor.dtype.lower()} constants")
    total: Counter[str] = Counter()
    end = 0
    for place, size, index in sorted((*b, i) for i, b in enumerate(model.buffers) if b[1]):
        if place < end:
            raise ModelFileError(
                f"Expected buffers that do not overlap, got buffer {index} at byte {place}, "
                f"before the previous one ends at {end}. The file is damaged."
            )
        end = place + size
        total[kinds.get(index, UNUSED)] += size
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
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, ["-" * width for width in widths], *rows):
        cells = [
            cell.rjust(width) if cell[:1].isdigit() and "x" not in cell else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
