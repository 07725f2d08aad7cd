"""What interpreters trust in a file whose structure is valid, checked before they load it."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import numpy as np

from keras_sparsebnn.tflite_file import Model, Operator, Subgraph, Table, Tensor
from keras_sparsebnn.tflite_file.reader import damaged
from keras_sparsebnn.tflite_file.schema import SCHEMA

__all__ = ["check_loadable"]

_INPUTS = {"BATCH_MATMUL": 2, "DEPTHWISE_CONV_2D": 3}
"""How many inputs kernels read without counting them."""

_LIMITS = {
    "INT8": (-128, 127),
    "UINT8": (0, 255),
    "INT16": (-(2**15), 2**15 - 1),
    "INT32": (-(2**31), 2**31 - 1),
}

_MAX_DEPTH = 64
"""The most graphs that may call each other in a row: interpreters go down by recursion."""


def check_loadable(model: Model) -> None:
    """Refuses files that would make interpreters crash, or write into the caller's bytes.

    Raises:
        ModelFileError: the file is one of them.
    """
    _check_calls(model)
    for graph in model.subgraphs:
        results = (index for operator in graph.operators for index in operator.outputs)
        for index in (*graph.inputs, *results):
            # Constants are the file's own bytes; a mapped file cannot be written at all.
            if index >= 0 and len(model.data(graph.tensors[index])):
                raise damaged(f"constant data for {graph.tensors[index].name!r}, a result")
        for tensor in graph.tensors:
            _check_quantization(tensor)
        for operator in graph.operators:
            _check_operator(model, graph, operator)


def _check_operator(model: Model, graph: Subgraph, operator: Operator) -> None:
    if len(operator.inputs) < _INPUTS.get(operator.name, 0):
        raise damaged(f"{operator.name} with inputs {list(operator.inputs)}")
    if operator.name != "DEQUANTIZE" or len(operator.inputs) != 1 or len(operator.outputs) != 1:
        return
    # XNNPACK makes floats of constants when it loads, in memory of the result's shape. TFLite
    # reads a number before it asks whether there are any.
    x, y = (graph.tensors[i] if i >= 0 else None for i in (*operator.inputs, *operator.outputs))
    if x is None or y is None:
        return
    if 0 in x.shape or (len(model.data(x)) and x.shape != y.shape):
        raise damaged(f"DEQUANTIZE from shape {list(x.shape)} to {list(y.shape)}")


def _check_quantization(tensor: Tensor) -> None:
    quantization = tensor.table.table("quantization")
    if quantization is None:
        return
    scale = quantization.vector("scale")
    scales = len(scale)
    if scales > 1:
        axis = quantization.integer("quantized_dimension")
        if not 0 <= axis < len(tensor.shape) or tensor.shape[axis] != scales:
            raise damaged(
                f"{scales} scales on axis {axis} of shape {list(tensor.shape)}, tensor "
                f"{tensor.name!r}"
            )
    # XNNPACK's messages about what follows would end the process.
    if scales == 1 and tensor.dtype in ("INT8", "UINT8") and not _is_normal(scale[0]):
        raise damaged(f"scale {scale[0]} of {tensor.dtype}, tensor {tensor.name!r}")
    low, high = _LIMITS.get(tensor.dtype, (-(2**63), 2**63))
    for zero_point in quantization.integers("zero_point"):
        if not low <= zero_point <= high:
            raise damaged(f"zero point {zero_point} of {tensor.dtype}, tensor {tensor.name!r}")


def _is_normal(scale: np.float32) -> bool:
    return bool(np.isfinite(scale) and scale >= np.finfo(np.float32).tiny)


def _check_calls(model: Model) -> None:
    calls = {number: _callees(graph) for number, graph in enumerate(model.subgraphs)}
    depth: dict[int, int] = {}
    try:
        for number in TopologicalSorter(calls).static_order():
            if number not in calls:
                raise damaged(f"a call of subgraph {number} of {len(calls)}")
            depth[number] = 1 + max((depth[callee] for callee in calls[number]), default=0)
    except CycleError:
        raise damaged("subgraphs that call themselves") from None
    if max(depth.values()) > _MAX_DEPTH:
        raise damaged(f"subgraphs that call each other more than {_MAX_DEPTH} deep")


def _callees(graph: Subgraph) -> set[int]:
    """Numbers of the graphs that control flow goes to."""
    found: set[int] = set()
    for operator in graph.operators:
        for name in ("builtin_options", "builtin_options_2"):
            options = operator.table.table(name) or Table("AbsOptions")
            for field in (field.name for field in SCHEMA[options.kind]):
                if field.endswith("subgraph_index") or field == "subgraph":
                    found.add(options.integer(field))
                elif field.endswith("subgraph_indices"):
                    found.update(options.integers(field))
    return found
