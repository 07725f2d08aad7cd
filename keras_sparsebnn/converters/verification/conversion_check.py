"""Looks for every binary layer of a model in the file that it became."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.converters.errors import ConversionError
from keras_sparsebnn.converters.filters.packed import PackedFilter, codeword_ids, packed_filters
from keras_sparsebnn.tflite_file import Model, Operator, Subgraph, read

__all__ = ["BinaryCall", "check_conversion"]

_SAME_MAGNITUDE = 5e-3
"""Relative spread below which LCE takes a channel's weights for +-alpha; so do we."""

Bits = npt.NDArray[np.bool_]
Key = tuple[tuple[int, ...], bytes]


@dataclass(frozen=True)
class BinaryCall:
    """One call of a binary layer that must be one `LceBconv2d`.

    Attributes:
        path: the layer's name, after those of the nested models it is in.
        kernel: what it convolves with, +-alpha_o, `[Cout, Kh, Kw, Cin / groups]`.
        selection: ids of the codewords it may use; None if all.
        required: whether it must be binary in the file.
    """

    path: str
    kernel: npt.NDArray[np.float32]
    selection: npt.NDArray[np.int64] | None
    required: bool = True


def check_conversion(
    flat: bytes, calls: Sequence[BinaryCall]
) -> list[tuple[BinaryCall, PackedFilter]]:
    """Asserts that each call is exactly one `LceBconv2d` with the layer's kernels.

    Calls and operators are matched by the filters' content, identical ones by order: names
    may be lost on the way.

    Returns:
        Each call that is binary in the file, with its operator.

    Raises:
        ConversionError: a call is missing, doubled, has other kernels, or left a float copy; or
            a multiplier or bias has not one number for each output channel.
    """
    model = read(flat)
    keys = [_key(call.kernel < 0) for call in calls]
    paths = {key: call.path for key, call in zip(keys, calls, strict=True)}
    waiting: dict[Key, list[PackedFilter]] = defaultdict(list)
    for packed in packed_filters(model):
        key = _key(packed.negative)
        _check_epilogue(model, packed, paths.get(key, packed.output.name))
        waiting[key].append(packed)
    copies = _float_copies(model)
    found = []
    for call, key in zip(calls, keys, strict=True):
        if not waiting[key] and not call.required:
            continue
        if not waiting[key]:
            raise _not_converted(call, copies.get(key))
        packed = waiting[key].pop(0)
        _check_filter(call, packed)
        found.append((call, packed))
    for call, _ in found:
        key = _key(call.kernel < 0)
        if waiting[key]:
            raise ConversionError(
                f"Expected one LceBconv2d for each call of the layer, got "
                f"{len(waiting[key])} more with the same filter (layer {call.path}). "
                "Give that layer its own input and no second copy of its kernel."
            )
        # A single weight per channel always has one magnitude: no evidence of a copy.
        if key in copies and call.kernel[0].size > 1:
            raise ConversionError(
                f"Expected only the packed filter in the file, got a float copy too "
                f"(layer {call.path}). Does something else read that layer's kernel?"
            )
    return found


def _key(negative: Bits) -> Key:
    """The filter up to a negation of whole output channels, which LCE does on purpose."""
    return negative.shape, np.packbits(negative ^ negative[:, :1, :1, :1]).tobytes()


def _check_epilogue(model: Model, packed: PackedFilter, path: str) -> None:
    """LCE fuses a MUL by a vector into a convolution of one channel, which stays of one."""
    channels = packed.words.shape[0]
    tensors = model.subgraphs[packed.subgraph].tensors
    for what, index in zip(("multiplier", "bias"), packed.operator.inputs[2:4], strict=False):
        if index >= 0 and tensors[index].shape != (channels,):
            raise ConversionError(
                f"Expected a {what} for each of {channels} output channels, got shape "
                f"{list(tensors[index].shape)} (layer {path}). LCE fuses an operation that "
                "makes more channels of one into the convolution: use a 1x1 Conv2D for it."
            )


def _check_filter(call: BinaryCall, packed: PackedFilter) -> None:
    negative = packed.negative
    flipped = negative[:, :1, :1, :1] != (call.kernel[:, :1, :1, :1] < 0)
    if flipped.any() and packed.output.dtype != "INT32":
        raise ConversionError(
            f"Expected the layer's kernels, got the negation of {int(flipped.sum())} output "
            f"channels though its output is {packed.output.dtype} (layer {call.path}). "
            "Please report this model."
        )
    if call.selection is None:
        return
    ids = codeword_ids(negative ^ flipped)
    if ids is None or not np.isin(ids, call.selection).all():
        raise ConversionError(
            f"Expected only codewords of the layer's selection, got others "
            f"(layer {call.path}). Please report this model."
        )


@dataclass(frozen=True)
class _FloatCopy:
    """A constant that holds a binary filter as numbers, and who reads it."""

    reader: Operator
    graph: Subgraph


def _float_copies(model: Model) -> dict[Key, _FloatCopy]:
    """Convolutions whose weights are +-alpha per output channel, though not packed."""
    found: dict[Key, _FloatCopy] = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            for index in operator.inputs:
                tensor = graph.tensors[index]
                if index < 0 or len(tensor.shape) != 4 or tensor.dtype not in _NUMBERS:
                    continue
                data = np.frombuffer(model.data(tensor), _NUMBERS[tensor.dtype])
                if data.size == 0 or data.size != np.prod(tensor.shape):
                    continue
                values = data.reshape(tensor.shape).astype(np.float32)
                magnitude = np.abs(values.reshape(values.shape[0], -1))
                low, high = magnitude.min(axis=1), magnitude.max(axis=1)
                if (low > 0).all() and (high <= low * (1 + _SAME_MAGNITUDE)).all():
                    found[_key(values < 0)] = _FloatCopy(operator, graph)
    return found


_NUMBERS: dict[str, Any] = {"FLOAT32": "<f4", "FLOAT16": "<f2", "INT8": "i1"}


def _not_converted(call: BinaryCall, copy: _FloatCopy | None) -> ConversionError:
    start = "Expected one LceBconv2d with the layer's kernels, got "
    if copy is None:
        return ConversionError(
            f"{start}none, nor a float convolution with them (layer {call.path}). "
            "Please report this model."
        )
    start += f"{copy.reader.name} with a float copy of them (layer {call.path}): "
    between = _operators_since_sign(copy)
    if between is None:
        return ConversionError(
            f"{start}its input is not binarised. "
            'Give the layer input_quantizer="approx_sign" or "ste_sign".'
        )
    # LCE writes pad_values=1.0 as PADV2 when it does not fold.
    what = ", ".join(name for name in between if name != "PADV2") or "padding"
    return ConversionError(
        f"{start}{what} lies between the sign and the convolution. "
        "Move it before the sign; pad with the layer's own padding."
    )


def _operators_since_sign(copy: _FloatCopy) -> list[str] | None:
    """Operators from the sign to the convolution; None if no sign feeds it."""
    producer = {t: op for op in copy.graph.operators for t in op.outputs}
    names: list[str] = []
    tensor = copy.reader.inputs[0]
    while tensor in producer and len(names) < len(copy.graph.operators):
        operator = producer[tensor]
        if operator.name in ("LceDequantize", "SIGN"):
            return names[::-1]
        names.append(operator.name)
        tensor = next((t for t in operator.inputs if t in producer), -1)
    return None
