"""What LCE's kernels trust: operands and options of its operators, checked before it loads.

They read a missing option from address 0, divide by a stride of 0, and read the third input of
a node that has two; so do TFLite's own kernels of LCE's age. The delegate has its own checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from keras_sparsebnn.tflite_file import Model, ModelFileError, Operator, Subgraph
from keras_sparsebnn.tflite_file.reader import damaged
from keras_sparsebnn.tflite_file.schema import SCHEMA

__all__ = ["check_lce_operators"]

_MAX_EXTENT = 65535
_MAX_STRIDE = 256

_STRIDES = {"stride_height": (1, _MAX_STRIDE), "stride_width": (1, _MAX_STRIDE)}

_OPTIONS: dict[str, Mapping[str, tuple[int, int]]] = {
    "LceQuantize": {},
    "LceDequantize": {},
    "LceBMaxPool2d": {
        **_STRIDES,
        "filter_height": (1, _MAX_EXTENT),
        "filter_width": (1, _MAX_EXTENT),
        "padding": (0, 1),
    },
    "LceBconv2d": {
        **_STRIDES,
        "channels_in": (1, _MAX_EXTENT),
        "dilation_height_factor": (1, _MAX_STRIDE),
        "dilation_width_factor": (1, _MAX_STRIDE),
        "padding": (0, 1),
        "pad_values": (0, 1),
        "fused_activation_function": (0, 3),
    },
}
"""The delegate allows the same ranges."""

_WINDOWS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
}
"""TFLite's operators of windows."""

_KEEP_CHANNELS = ("AVERAGE_POOL_2D", "L2_POOL_2D", "MAX_POOL_2D", "QUANTIZE", "DEQUANTIZE")
"""What may stand before a CONV_2D in our files; its groups are counted by the file's shapes."""

_WINDOW = re.compile("stride_|dilation_|filter_")
_MAX_WINDOW = 2**15 - 1
"""TFLite keeps them in 16 bits."""

_INPUTS = {"LceBconv2d": 5}
"""Number of inputs; the others have 1."""


def check_lce_operators(model: Model) -> None:
    """Refuses operators that would make LCE's kernels crash.

    Raises:
        ModelFileError: the model has one.
    """
    for graph in model.subgraphs:
        for index, operator in enumerate(graph.operators):
            try:
                if operator.name in _OPTIONS:
                    _check(model, graph, operator)
                elif operator.name in _WINDOWS:
                    _check_window(operator)
                    _check_groups(graph, operator)
                if operator.name in _KEEP_CHANNELS:
                    _check_channels(graph, operator)
            except ModelFileError as error:
                raise damaged(f"{error} (operator {index}, {operator.name})") from None


def _check(model: Model, graph: Subgraph, operator: Operator) -> None:
    count = _INPUTS.get(operator.name, 1)
    ends = (*operator.inputs[: min(count, 2)], *operator.outputs[:1])
    if len(operator.inputs) != count or not operator.outputs or min(ends) < 0:
        raise ModelFileError(f"inputs {operator.inputs} and outputs {operator.outputs}")
    for name, (low, high) in _OPTIONS[operator.name].items():
        value = operator.options.get(name)
        if type(value) is not int or not low <= value <= high:
            raise ModelFileError(f"option {name} = {value!r}, not in [{low}, {high}]")
    if operator.name in ("LceBconv2d", "LceBMaxPool2d"):
        for tensor in (graph.tensors[index] for index in ends):
            if len(tensor.shape) != 4 or 0 in tensor.shape:
                raise ModelFileError(f"shape {list(tensor.shape)}")
    if operator.name == "LceBconv2d":
        _check_constants(model, graph, operator)


def _check_window(operator: Operator) -> None:
    """The TFLite in LCE divides by strides and dilations, and by a padding that it knows."""
    options, kind = operator.table.table("builtin_options"), _WINDOWS[operator.name]
    if options is None or options.kind != kind:
        raise ModelFileError(f"no {kind}")
    names = [field.name for field in SCHEMA[kind]]
    windows = dict.fromkeys(filter(_WINDOW.match, names), (1, _MAX_WINDOW))
    for name, (low, high) in {"padding": (0, 1), **windows}.items():
        value = options.integer(name)
        if not low <= value <= high:
            raise ModelFileError(f"option {name} = {value}, not in [{low}, {high}]")


def _check_groups(graph: Subgraph, operator: Operator) -> None:
    """The TFLite in LCE divides by the number of outputs in a group."""
    if operator.name != "CONV_2D":
        return
    shapes = [graph.tensors[index].shape for index in operator.inputs[:2]]
    if [len(shape) for shape in shapes] == [4, 4] and 0 not in shapes[1]:
        groups, rest = divmod(shapes[0][3], shapes[1][3])
        if rest or not groups or shapes[1][0] % groups:
            raise ModelFileError(f"an input and a filter of shapes {shapes[0]} and {shapes[1]}")


def _check_channels(graph: Subgraph, operator: Operator) -> None:
    ends = (*operator.inputs[:1], *operator.outputs[:1])
    shapes = [graph.tensors[index].shape for index in ends if index >= 0]
    if len(shapes) == 2 and all(shapes) and shapes[0][-1] != shapes[1][-1]:
        raise ModelFileError(f"shapes {shapes[0]} and {shapes[1]}")


def _check_constants(model: Model, graph: Subgraph, operator: Operator) -> None:
    tensors = [graph.tensors[index] if index >= 0 else None for index in operator.inputs]
    bits, filter, *after = tensors
    assert bits is not None
    assert filter is not None
    model.constant(filter, "INT32")
    outputs, _, _, words = filter.shape
    channels = operator.options["channels_in"]
    assert isinstance(channels, int)
    groups, rest = divmod(bits.shape[3], words)
    if bits.shape[3] != -(-channels // 32) or rest or outputs % groups:
        raise ModelFileError(
            f"{channels} channels, {bits.shape[3]} words and a filter of {list(filter.shape)}"
        )
    packed = graph.tensors[operator.outputs[0]].dtype == "INT32"
    dtype, needed = ("INT32", after[2:]) if packed else ("FLOAT32", after[:2])
    for tensor in needed:
        if tensor is None or tensor.shape != (outputs,):
            raise ModelFileError(f"no {dtype} of shape [{outputs}] for its output")
        model.constant(tensor, dtype)
