r"""Float weights of a .tflite in 8 bits, one scale per output channel.

    q = round(w / s_o),   s_o = max |w_o| / 127,   so   |w - s_o q| <= s_o / 2

for the weights `w_o` of output channel o. The file holds q and s; a stock DEQUANTIZE operator
makes `s_o q` of them, once, when the model is loaded, and the layer runs in float as before.
Nothing but the weights is rounded: activations, biases and binary layers stay as they are.

Why not TFLite's hybrid kernels, which take int8 weights directly: measured, they are right in
ai-edge-litert 1.4 and 2.3, but in tf.lite 2.15 and tflite-runtime 2.14 a fully connected layer
with a scale per channel gives zeros, in silence; they round activations to 8 bits as well,
which flips signs in later layers; and XNNPACK does not run them in the older two, at half the
speed or less. DEQUANTIZE of constants is right everywhere and as fast as float. FORMAT.md has
the numbers. What is to compute in 8 bits has ranges in the file, see `int8_layers`.

Reference: Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference",
2018, arXiv:1806.08342, section 3.1.3 (weight-only quantization, per channel).
"""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.tflite_file import (
    Model,
    ModelFileError,
    Subgraph,
    Table,
    Tensor,
    operator_code,
    read,
)
from keras_sparsebnn.tflite_file.schema import TENSOR_TYPES

__all__ = ["DEQUANTIZE", "has_int8_weights", "quantize_weights", "quantized"]

DEQUANTIZE = "DEQUANTIZE"

_DEQUANTIZE_VERSION = 5  # per channel since version 5

_OUTPUT_AXIS = {
    "CONV_2D": 0,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 0,
    "TRANSPOSE_CONV": 0,
}
"""Which axis of the weights, always input 1, is the output channel."""

_OVERHEAD_BYTES = 256
"""What a tensor and an operator take at most; each channel's scale and zero point take 12."""

Floats = npt.NDArray[np.float32]


def quantized(weights: Floats, axis: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """Symmetric int8 weights, -127 to 127, and their scales.

    Shape:
        `[..., Cout, ...]` -> int8 of the same shape, `[Cout]`.

    Example:
        >>> q, scale = quantized(np.array([[1.0, -0.5], [0.0, 0.0]], np.float32), 0)
        >>> q.tolist(), (127 * scale).tolist()
        ([[127, -64], [0, 0]], [1.0, 127.0])
    """
    others = tuple(i for i in range(weights.ndim) if i != axis)
    largest = np.abs(weights).max(axis=others, keepdims=True, initial=0)
    # All zero: any scale will do. A subnormal quotient would not be accurate.
    largest = np.where(largest < 127 * np.finfo(np.float32).tiny, np.float32(127), largest)
    scale = (largest / np.float32(127)).astype(np.float32)
    values = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8)
    return values, scale.reshape(-1)


def has_int8_weights(model: Model) -> bool:
    """Whether weights are stored as by `quantize_weights`: int8 constants that become float."""
    return any(
        operator.name == DEQUANTIZE
        and len(operator.inputs) == 1
        and operator.inputs[0] >= 0
        and graph.tensors[operator.inputs[0]].dtype == "INT8"
        and bool(model.data(graph.tensors[operator.inputs[0]]))
        for graph in model.subgraphs
        for operator in graph.operators
    )


def quantize_weights(model: bytes | str | os.PathLike[str]) -> bytes:
    """Stores the weights of every float convolution and fully connected layer in 8 bits.

    Args:
        model: the bytes of a .tflite, or its path.

    Returns:
        The smaller file; the file as it is if no layer would get smaller. Weights that are not
        finite stay as they are.

    Raises:
        ModelFileError: damaged, or of a newer schema.
    """
    file = read(model)
    empty = file.root.tables("buffers")[:1]
    if empty and len(empty[0].vector("data")):
        raise ModelFileError(
            f"Expected buffer 0 to be empty, as the schema requires, got "
            f"{len(empty[0].vector('data'))} bytes. The file is damaged."
        )
    rounding = _Rounding(file)
    changed = False
    for graph in file.subgraphs:
        operators: list[Table] = []
        shared = _read_elsewhere(graph)
        done: set[int] = set()
        for operator in graph.operators:
            axis = _OUTPUT_AXIS.get(operator.name)
            if (
                axis is not None
                and len(operator.inputs) > 1
                and operator.inputs[1] not in done | shared
            ):
                dequantize = rounding.dequantize(graph, operator.inputs[1], axis)
                if dequantize is not None:
                    done.add(operator.inputs[1])
                    operators.append(dequantize)
            operators.append(operator.table)
        changed |= bool(done)
        graph.table["operators"] = operators
    return file.to_bytes() if changed else file.flat


def _read_elsewhere(graph: Subgraph) -> set[int]:
    """Tensors that something else than a layer, as its weights, reads.

    It could come before the DEQUANTIZE, or need a constant.
    """
    found = {*graph.outputs}
    for operator in graph.operators:
        weights = 1 if operator.name in _OUTPUT_AXIS else -1
        found.update(t for place, t in enumerate(operator.inputs) if place != weights)
    return found


class _Rounding:
    """Rounds the constants of one file; one that several tensors share is rounded once."""

    def __init__(self, file: Model) -> None:
        self.file = file
        self.buffers = file.root.tables("buffers")
        self.owners = Counter(t.buffer for graph in file.subgraphs for t in graph.tensors)
        self.owners.update(file.metadata.values())
        self.owners.update(file.root.integers("metadata_buffer"))
        self.rounded: dict[int, tuple[tuple[int, ...], int, Table]] = {}

    def dequantize(self, graph: Subgraph, index: int, axis: int) -> Table | None:
        """The operator that computes tensor `index` from a new int8 one, which takes its data.

        None if the tensor has no constant weights, or they would not get smaller.
        """
        tensor = graph.tensors[index]
        if index < 0 or tensor.dtype != "FLOAT32" or axis >= len(tensor.shape):
            return None
        if tensor.table.table("sparsity") is not None:
            return None
        if tensor.buffer not in self.rounded:
            constant = self.constant(tensor, axis)
            if constant is None:
                return None
            self.rounded[tensor.buffer] = tensor.shape, axis, constant
        shape, known_axis, constant = self.rounded[tensor.buffer]
        if (shape, known_axis) != (tensor.shape, axis):
            return None  # another copy would cost what the first one saves
        self.owners[tensor.buffer] -= 1
        if not self.owners[tensor.buffer] and constant.integer("buffer") != tensor.buffer:
            self.buffers[tensor.buffer] = Table("Buffer")
        constant = Table("Tensor", **constant.fields)
        if "name" in tensor.table:
            constant["name"] = tensor.table.fields["name"]
        tensor.table["buffer"] = 0  # not a constant any more
        source = graph.table.append("tensors", constant)
        code = operator_code(self.file.root, DEQUANTIZE, _DEQUANTIZE_VERSION)
        return Table("Operator", opcode_index=code, inputs=[source], outputs=[index])

    def constant(self, tensor: Tensor, axis: int) -> Table | None:
        """The tensor of rounded weights; None if there are none, or it would save nothing."""
        if not self.file.data(tensor):
            return None
        weights: Floats = self.file.constant(tensor, "FLOAT32")
        saved = 3 * weights.size - 12 * weights.shape[axis]
        if saved <= _OVERHEAD_BYTES or not np.isfinite(weights).all():
            return None
        values, scale = quantized(weights, axis)
        buffer = tensor.buffer
        if self.owners[buffer] > 1:
            buffer = self.file.root.append("buffers", Table("Buffer"))
        self.buffers[buffer]["data"] = values.tobytes()
        quantization = Table(
            "QuantizationParameters",
            scale=scale,
            zero_point=np.zeros(scale.size, np.int64),
            quantized_dimension=axis,
        )
        return Table(
            "Tensor",
            quantization=quantization,
            shape=tensor.shape,
            type=TENSOR_TYPES.index("INT8"),
            buffer=buffer,
        )
