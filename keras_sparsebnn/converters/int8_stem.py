r"""The first float layers of a .tflite in int8, activations too: what lies before any binary one.

    x_q = round(x / s_x) + z_x                                  the image, by a QUANTIZE
    y_q = round(M_o (sum_i w_q (x_q - z_x) + b_q)) + z_y        M_o = s_x s_o / s_y
    y   = s_y (y_q - z_y)                                       for the rest, by a DEQUANTIZE

    w_q = round(w / s_o),   b_q = round(b / (s_x s_o))          o: the output channel

An image has 8 bits by nature, and the 7x7 stem of ResNet-18 has 118 M multiply-adds in float. Stock
int8 kernels are exact in their sums and are there in every runtime, but slow with 3 channels; the
delegate has one for a stem of a single convolution, with QUANTIZE, DEQUANTIZE and a max pool
between. What that gains is in docs/whole-networks.md. The scales s_x and s_y are calibrated:
they span what images give in float.

The last step, a product and a rounding, is a runtime's own: two may differ by one step `s_y`. The
delegate's is XNNPACK's.

References: Jacob et al., "Quantization and training of neural networks for efficient
integer-arithmetic-only inference", CVPR 2018, arXiv:1712.05877, sections 2.1 to 2.4; TFLite's
quantization specification (symmetric weights, a scale per channel).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.converters.errors import ConversionError
from keras_sparsebnn.converters.int8_weights import DEQUANTIZE, quantized
from keras_sparsebnn.tflite_file import (
    Model,
    Operator,
    Subgraph,
    Table,
    Tensor,
    operator_code,
    read,
)
from keras_sparsebnn.tflite_file.schema import TENSOR_TYPES
from keras_sparsebnn.tflite_file.table import Settable

__all__ = ["Range", "calibrate_stem", "quantize_stem", "stem_ranges"]

_CONVOLUTIONS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
"""Operators with weights, and which axis of these is the output channel."""

_CARRIERS = {"MAX_POOL_2D": 2, "PAD": 2}
"""Operators whose outputs are among their inputs, so they keep scale and zero point; and the
version that takes int8."""

_CONVOLUTION_VERSION = 3  # int8, per channel
_DEQUANTIZE_VERSION = 2  # int8
_FUSED_CLAMPS = (0, 1, 3)  # none, ReLU, ReLU6
_LARGEST_BIAS = 2**30

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Range:
    """What int8 stands for: `x = scale (q - zero_point)`."""

    scale: float
    zero_point: int

    @classmethod
    def spanning(cls, low: float, high: float) -> Range:
        """The finest range with both and 0 in it.

        Example:
            >>> Range.spanning(-64, 63.5), Range.spanning(0, 0)
            (Range(scale=0.5, zero_point=0), Range(scale=1.0, zero_point=-128))
        """
        low, high = min(0.0, float(low)), max(0.0, float(high))
        scale = float(np.float32((high - low) / 255)) or 1.0
        return cls(scale, round(-128 - low / scale))

    def table(self) -> Table:
        """As in a file."""
        return Table(
            "QuantizationParameters", scale=[self.scale], zero_point=[self.zero_point]
        )


def _stem(file: Model) -> list[Operator]:
    """The operators from the input to the last convolution, or pool after it, of a chain."""
    graph = file.subgraphs[0]
    if len(graph.inputs) != 1:
        return []
    chain: list[Operator] = []
    tensor = graph.inputs[0]
    while (operator := _only_reader(graph, tensor)) is not None and _fits(file, graph, operator):
        chain.append(operator)
        tensor = operator.outputs[0]
    while chain and chain[-1].name == "PAD":
        chain.pop()
    return chain if any(operator.name in _CONVOLUTIONS for operator in chain) else []


def _only_reader(graph: Subgraph, tensor: int) -> Operator | None:
    readers = [operator for operator in graph.operators if tensor in operator.inputs]
    if tensor in graph.outputs or len(readers) != 1 or readers[0].inputs.count(tensor) != 1:
        return None
    return readers[0]


def _fits(file: Model, graph: Subgraph, operator: Operator) -> bool:
    """Whether int8 kernels compute what this operator does, within rounding."""
    if len(operator.outputs) != 1 or graph.tensors[operator.inputs[0]].dtype != "FLOAT32":
        return False
    constants = [graph.tensors[index] for index in operator.inputs[1:] if index >= 0]
    if not all(file.data(tensor) for tensor in constants):
        return False
    if operator.name in _CARRIERS:
        return True
    if operator.name not in _CONVOLUTIONS or len(constants) != 2:
        return False
    options = operator.table.table("builtin_options")
    clamp = 0 if options is None else options.integer("fused_activation_function")
    return (
        clamp in _FUSED_CLAMPS
        and all(tensor.dtype == "FLOAT32" for tensor in constants)
        and all(np.isfinite(file.constant(tensor, "FLOAT32")).all() for tensor in constants)
    )


def _ranged(chain: Sequence[Operator]) -> list[int]:
    """The tensors with a range of their own: the input, and what each convolution makes."""
    made = (o.outputs[0] for o in chain if o.name in _CONVOLUTIONS)
    return [chain[0].inputs[0], *made]


def calibrate_stem(model: bytes, images: npt.ArrayLike) -> list[Range]:
    """The ranges of the stem's input and of each of its convolutions, over `images`.

    Args:
        model: the bytes of a .tflite.
        images: inputs as the model takes them, samples along the first axis; a few hundred
            from the training set.

    Raises:
        ConversionError: there is no float stem, or the images do not fit or are not finite.
        ModelFileError: damaged.
    """
    from keras_sparsebnn.runtime import Interpreter

    file = read(model)
    graph, chain = file.subgraphs[0], _stem(file)
    if not chain:
        raise ConversionError(
            "Expected a model that begins with a float convolution, got another beginning. "
            "Leave out stem='int8'."
        )
    shape = graph.tensors[graph.inputs[0]].shape
    samples = np.asarray(images, np.float32)
    if samples.shape[1:] != shape[1:] or not len(samples) or not np.isfinite(samples).all():
        raise ConversionError(
            f"Expected finite images of shape {list(shape[1:])} to calibrate the stem, got "
            f"{len(samples) if samples.ndim else 0} of shape {list(samples.shape[1:])}."
        )
    ranged = _ranged(chain)
    graph.table["operators"] = [operator.table for operator in chain]
    graph.table["outputs"] = ranged[1:]
    interpreter = Interpreter(file.to_bytes())
    lows, highs = [float(samples.min())], [float(samples.max())]
    lows += [np.inf] * (len(ranged) - 1)
    highs += [-np.inf] * (len(ranged) - 1)
    for start in range(0, len(samples), 16):
        outputs = interpreter.predict(samples[start : start + 16])
        values = outputs if isinstance(outputs, list) else [outputs]
        for number, value in enumerate(values, 1):
            lows[number] = min(lows[number], float(value.min()))
            highs[number] = max(highs[number], float(value.max()))
    return [Range.spanning(low, high) for low, high in zip(lows, highs, strict=True)]


def quantize_stem(model: bytes, ranges: Sequence[Range]) -> bytes:
    """Lets the first float layers of a file compute in int8.

    Args:
        model: the bytes of a .tflite.
        ranges: from `calibrate_stem`, of this model.

    Returns:
        The file. What comes before and after the stem is float as before.

    Raises:
        ConversionError: there is no float stem, or not that many ranges in it.
        ModelFileError: damaged.
    """
    file = read(model)
    chain = _stem(file)
    if not chain or len(ranges) != len(_ranged(chain)):
        raise ConversionError(
            f"Expected a range for the input and for each of the stem's convolutions, "
            f"{len(_ranged(chain)) if chain else 0} in all, got {len(ranges)}."
        )
    stem = _Stem(file, dict(zip(_ranged(chain), ranges, strict=True)))
    first, last = chain[0].inputs[0], chain[-1].outputs[0]
    for operator in chain:
        stem.change(operator)
    stem.drop_what_nothing_reads()
    code = operator_code(file.root, "QUANTIZE")
    quantize = Table("Operator", opcode_index=code, inputs=[first], outputs=[stem.of[first]])
    code = operator_code(file.root, DEQUANTIZE, _DEQUANTIZE_VERSION)
    dequantize = Table("Operator", opcode_index=code, inputs=[stem.of[last]], outputs=[last])
    operators: list[Table] = []
    for operator in file.subgraphs[0].operators:
        operators += [quantize] if operator is chain[0] else []
        operators.append(operator.table)
        operators += [dequantize] if operator is chain[-1] else []
    file.subgraphs[0].table["operators"] = operators
    return file.to_bytes()


def stem_ranges(model: Model) -> list[Range]:
    """The ranges of a file's int8 stem, as `quantize_stem` was given them; [] without one."""
    graph = model.subgraphs[0]
    operator = _only_reader(graph, graph.inputs[0]) if len(graph.inputs) == 1 else None
    if operator is None or operator.name != "QUANTIZE":
        return []
    found = [_range(graph.tensors[operator.outputs[0]])]
    while (operator := _only_reader(graph, operator.outputs[0])) is not None:
        if operator.name == DEQUANTIZE:
            return [range for range in found if range is not None]
        if operator.name in _CONVOLUTIONS:
            found.append(_range(graph.tensors[operator.outputs[0]]))
        elif operator.name not in _CARRIERS:
            break
    return []


def _range(tensor: Tensor) -> Range | None:
    quantization = tensor.table.table("quantization")
    if quantization is None or len(quantization.vector("scale")) != 1:
        return None
    zero_points = quantization.integers("zero_point") or (0,)
    return Range(float(quantization.vector("scale")[0]), zero_points[0])


class _Stem:
    """A stem that is being changed.

    Attributes:
        of: float tensor -> its int8 counterpart.
        ranges: float tensor -> what its int8 counterpart stands for.
        readers: tensor -> how many inputs of operators it is.
        left: buffers that a tensor had before.
    """

    def __init__(self, file: Model, ranges: dict[int, Range]) -> None:
        self.file, self.graph = file, file.subgraphs[0]
        self.ranges = ranges
        self.of: dict[int, int] = {}
        self.readers = Counter(i for o in self.graph.operators for i in o.inputs)
        self.left: set[int] = set()
        (first,) = self.graph.inputs
        self.activation(first, ranges[first])

    def activation(self, index: int, range: Range) -> None:
        tensor = self.graph.tensors[index]
        self.of[index] = self.graph.table.append(
            "tensors",
            Table(
                "Tensor",
                shape=tensor.shape,
                type=TENSOR_TYPES.index("INT8"),
                name=f"{tensor.name}/int8",
                quantization=range.table(),
            ),
        )

    def change(self, operator: Operator) -> None:
        """Lets an operator read and write int8."""
        source, target = operator.inputs[0], operator.outputs[0]
        inputs = [self.of[source], *operator.inputs[1:]]
        if operator.name in _CARRIERS:
            self.ranges[target] = self.ranges[source]
            version = _CARRIERS[operator.name]
        else:
            inputs[1:] = self.parameters(operator, self.ranges[source])
            version = _CONVOLUTION_VERSION
        self.activation(target, self.ranges[target])
        operator.table["opcode_index"] = operator_code(self.file.root, operator.name, version)
        operator.table["inputs"] = inputs
        operator.table["outputs"] = [self.of[target]]

    def parameters(self, operator: Operator, source: Range) -> Iterator[int]:
        """Weights and bias, in integers."""
        tensors = self.graph.tensors
        axis = _CONVOLUTIONS[operator.name]
        filter, shift = operator.inputs[1:]
        weights: Floats = self.file.constant(tensors[filter], "FLOAT32")
        bias: Floats = self.file.constant(tensors[shift], "FLOAT32")
        # A channel of hardly any weights may have a bias that needs a coarser scale.
        least = np.abs(bias) / (source.scale * _LARGEST_BIAS)
        scale = np.maximum(quantized(weights, axis)[1], least.astype(np.float32))
        along = scale.reshape([-1 if i == axis else 1 for i in range(weights.ndim)])
        integers = np.clip(np.rint(weights / along), -127, 127).astype(np.int8)
        yield self.constant(filter, integers, scale, axis)
        steps = np.float64(source.scale) * scale.astype(np.float64)
        terms = np.rint(bias / steps).astype(np.int32)
        yield self.constant(shift, terms, steps.astype(np.float32), 0)

    def constant(
        self,
        index: int,
        values: npt.NDArray[np.int8 | np.int32],
        scale: Floats,
        axis: int,
    ) -> int:
        """Replaces a constant; makes another if other operators read it, too."""
        fields: dict[str, Settable] = {
            "shape": values.shape,
            "type": TENSOR_TYPES.index(values.dtype.name.upper()),
            "buffer": self.file.root.append("buffers", Table("Buffer", data=values.tobytes())),
            "quantization": Table(
                "QuantizationParameters",
                scale=scale,
                zero_point=np.zeros(scale.size, np.int64),
                quantized_dimension=axis,
            ),
        }
        tensor = self.graph.tensors[index]
        if self.readers[index] > 1:
            return self.graph.table.append("tensors", Table("Tensor", name=tensor.name, **fields))
        for name, value in fields.items():
            tensor.table[name] = value
        self.left.add(tensor.buffer)
        return index

    def drop_what_nothing_reads(self) -> None:
        """Empties the buffers of float weights."""
        used = {
            tensor.integer("buffer")
            for graph in self.file.root.tables("subgraphs")
            for tensor in graph.tables("tensors")
        }
        for buffer in self.left - used - set(self.file.metadata.values()):
            self.file.root.tables("buffers")[buffer] = Table("Buffer")
