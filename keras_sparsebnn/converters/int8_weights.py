r"""Float weights of a .tflite in 8 bits, one scale per output channel.

    q = round(w / s_o),   s_o = max |w_o| / 127,   so   |w - s_o q| <= s_o / 2

for the weights `w_o` of output channel o. The file holds q and s; a stock DEQUANTIZE operator
makes `s_o q` of them, once, when the model is loaded, and the layer runs in float as before.
Nothing but the weights is rounded: activations, biases and binary layers stay as they are.

Why not TFLite's hybrid kernels, which take int8 weights directly: measured, they are right in
ai-edge-litert 1.4 and 2.3, but in tf.lite 2.15 and tflite-runtime 2.14 a fully connected layer
with a scale per channel gives zeros, in silence; they round activations to 8 bits as well,
which flips signs further on; and XNNPACK leaves them alone in the older two, at half the speed
or less. DEQUANTIZE of constants is right everywhere and as fast as float. FORMAT.md has the
numbers.

Reference: Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference",
2018, arXiv:1806.08342, section 3.1.3 (weight-only quantization, per channel).
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.tflite_file.tree import Table, read_tree, write_tree
from keras_sparsebnn.tflite_file.reader import Model, ModelFileError, Subgraph, read

__all__ = ["DEQUANTIZE", "has_int8_weights", "quantize_weights", "quantized"]

DEQUANTIZE = "DEQUANTIZE"

_DEQUANTIZE_CODE, _DEQUANTIZE_VERSION = 6, 5  # per channel since version 5
_INT8 = 9  # TensorType

_OUTPUT_AXIS = {
    "CONV_2D": 0,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 0,
    "TRANSPOSE_CONV": 0,
}
"""Which axis of the weights, always input 1, is the output channel."""

_OVERHEAD_BYTES = 256
"""What a tensor and an operator take at most; scale and zero point of a channel take 12."""

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
    """Whether `quantize_weights` has been at work: int8 constants that become float."""
    return any(
        operator.name == DEQUANTIZE
        and len(operator.inputs) == 1
        and operator.inputs[0] >= 0
        and graph.tensors[operator.inputs[0]].dtype == "INT8"
        and bool(model.data(graph.tensors[operator.inputs[0]]))
        for graph in model.subgraphs
        for operator in graph.operators
    )


def quantize_weights(model: bytes) -> bytes:
    """Stores the weights of every float convolution and fully connected layer in 8 bits.

    Args:
        model: the bytes of a .tflite.

    Returns:
        The smaller file; `model` itself if nothing in it profits. Weights that are not finite
        stay as they are.

    Raises:
        ModelFileError: damaged, or of a newer schema.
    """
    file = read(model)
    root = read_tree(model)
    if file.buffers and file.buffers[0][1]:
        raise ModelFileError(
            f"Expected buffer 0 to be empty, which the schema reserves for that, got "
            f"{file.buffers[0][1]} bytes. The file is damaged."
        )
    owners = Counter(tensor.buffer for graph in file.subgraphs for tensor in graph.tensors)
    owners.update(file.metadata.values())
    changed = False
    for graph, table in zip(file.subgraphs, root.tables("subgraphs"), strict=True):
        operators: list[Table] = []
        done: set[int] = set()
        for operator, raw in zip(graph.operators, table.tables("operators"), strict=True):
            axis = _OUTPUT_AXIS.get(operator.name)
            if axis is not None and len(operator.inputs) > 1 and operator.inputs[1] not in done:
                weights = _weights(file, graph, operator.inputs[1], axis)
                if weights is not None:
                    done.add(operator.inputs[1])
                    operators.append(
                        _dequantized(root, table, operator.inputs[1], weights, axis, owners)
                    )
            operators.append(raw)
        changed |= bool(done)
        table.fields["operators"] = operators
    return write_tree(root) if changed else model


def _weights(file: Model, graph: Subgraph, index: int, axis: int) -> Floats | None:
    """The constant weights, None if they are none or would not get smaller."""
    tensor = graph.tensors[index]
    if index < 0 or tensor.dtype != "FLOAT32" or axis >= len(tensor.shape):
        return None
    if not file.data(tensor):
        return None
    weights: Floats = file.constant(tensor, "FLOAT32")
    saved = 3 * weights.size - 12 * weights.shape[axis]
    return weights if saved > _OVERHEAD_BYTES and np.isfinite(weights).all() else None


def _dequantized(
    root: Table, graph: Table, index: int, weights: Floats, axis: int, owners: Counter[int]
) -> Table:
    """The operator that makes tensor `index`, whose data moves to a new int8 tensor."""
    values, scale = quantized(weights, axis)
    result = graph.tables("tensors")[index]
    buffer = result.integer("buffer")
    if owners[buffer] > 1:
        owners[buffer] -= 1
        buffer = root.append("buffers", Table("Buffer"))
    root.tables("buffers")[buffer].fields["data"] = values.tobytes()
    quantization = Table("QuantizationParameters")
    quantization.fields["scale"] = scale.astype("<f4").tobytes()
    quantization.fields["zero_point"] = np.zeros(scale.size, "<i8").tobytes()
    quantization.set_integer("quantized_dimension", axis)
    constant = Table("Tensor", {"quantization": quantization})
    for name in ("shape", "name"):
        if name in result.fields:
            constant.fields[name] = result.fields[name]
    constant.set_integer("type", _INT8)
    constant.set_integer("buffer", buffer)
    source = graph.append("tensors", constant)
    result.set_integer("buffer", 0)  # not a constant any more
    operator = Table("Operator")
    operator.set_integer("opcode_index", _dequantize_code(root))
    operator.set_integers("inputs", [source])
    operator.set_integers("outputs", [index])
    return operator


def _dequantize_code(root: Table) -> int:
    """The number of the operator code, added if it is not there in this version."""
    for number, code in enumerate(root.tables("operator_codes")):
        if (code.integer("builtin_code"), code.integer("version")) == (
            _DEQUANTIZE_CODE,
            _DEQUANTIZE_VERSION,
        ):
            return number
    code = Table("OperatorCode")
    code.set_integer("deprecated_builtin_code", _DEQUANTIZE_CODE)
    code.set_integer("builtin_code", _DEQUANTIZE_CODE)
    code.set_integer("version", _DEQUANTIZE_VERSION)
    return root.append("operator_codes", code)
