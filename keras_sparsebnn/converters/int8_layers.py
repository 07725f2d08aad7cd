r"""Float layers of a .tflite in int8, activations too: the stem, the shortcuts, the classifier.

    x_q = round(x / s_x) + z_x                                  by a QUANTIZE
    y_q = round(M_o (sum_i w_q (x_q - z_x) + b_q)) + z_y        M_o = s_x s_o / s_y
    y   = s_y (y_q - z_y)                                       for the rest, by a DEQUANTIZE

    w_q = round(w / s_o),   b_q = round(b / (s_x s_o))          o: the output channel

- *Stem*: what lies before any binary layer, a chain. An image has 8 bits by nature, and the
  7x7 stem of ResNet-18 has 118 M multiply-adds in float.
- *Shortcuts*: every other CONV_2D, as the 1x1 ones where a network's width grows.
- *Classifier*: every FULLY_CONNECTED. It has one scale s_o for all outputs: older runtimes take
  no others.

Stock int8 kernels are exact in their sums and are there in every runtime, but slow with 3 input
channels; the delegate has kernels for a stem of a single convolution, with QUANTIZE, DEQUANTIZE
and a max pool between, and for 1x1. What that gains is in docs/whole-networks.md. The scales
s_x and s_y are calibrated: they span what images give in float.

The last step, a product and a rounding, is a runtime's own: two may differ by one step `s_y`.
The delegate's is XNNPACK's.

References: Jacob et al., "Quantization and training of neural networks for efficient
integer-arithmetic-only inference", CVPR 2018, arXiv:1712.05877, sections 2.1 to 2.4; TFLite's
quantization specification (symmetric weights, a scale per channel).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._rules import INT8_LAYERS
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

__all__ = ["Range", "calibrate", "quantize_layers", "ranges_of"]

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
"""Operators with weights in a stem."""

_KIND = {"CONV_2D": "shortcuts", "FULLY_CONNECTED": "classifier"}
"""Operators with weights that are chains by themselves, outside of the stem."""

_OUTPUT_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
"""Which axis of the weights is the output channel, where each channel has a scale."""

_CARRIERS = ("MAX_POOL_2D", "PAD")
"""Operators whose outputs are among their inputs, so they keep scale and zero point."""

_VERSION = {
    **{"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4},
    **{"MAX_POOL_2D": 2, "PAD": 2, DEQUANTIZE: 2},
}
"""That takes int8."""

_KEEPS_DIMENSIONS = 5
"""The version of FULLY_CONNECTED whose output has its input's rank."""

_FUSED_CLAMPS = (0, 1, 3)  # none, ReLU, ReLU6
_LARGEST_BIAS = 2**30

_EXPECTED = {
    "stem": "a model that begins with a float convolution",
    "shortcuts": "float convolutions behind the stem",
    "classifier": "float fully connected layers",
}

Floats = npt.NDArray[np.float32]
Ranges = Mapping[str, Sequence["Range"]]
"""By kind of `INT8_LAYERS`: of each chain, its input's and those of what its layers make."""


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
        return Table("QuantizationParameters", scale=[self.scale], zero_point=[self.zero_point])


def _stem(file: Model) -> list[Operator]:
    """The operators from the input to the last convolution, or pool after it, of a chain."""
    graph = file.subgraphs[0]
    if len(graph.inputs) != 1:
        return []
    chain: list[Operator] = []
    tensor = graph.inputs[0]
    while (
        (operator := _only_reader(graph, tensor)) is not None
        and operator.name in (*_CONVOLUTIONS, *_CARRIERS)
        and _fits(file, graph, operator)
    ):
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


def _chains(file: Model) -> dict[str, list[list[Operator]]]:
    """By kind, operators that int8 is kept between."""
    stem = _stem(file)
    found: dict[str, list[list[Operator]]] = {kind: [] for kind in INT8_LAYERS}
    found["stem"] += [stem] if stem else []
    graph = file.subgraphs[0]
    for operator in graph.operators:
        if operator.name in _KIND and operator not in stem and _fits(file, graph, operator):
            found[_KIND[operator.name]].append([operator])
    return found


def _fits(file: Model, graph: Subgraph, operator: Operator) -> bool:
    """Whether int8 kernels compute what this operator does, within rounding."""
    if len(operator.outputs) != 1 or graph.tensors[operator.inputs[0]].dtype != "FLOAT32":
        return False
    constants = [graph.tensors[index] for index in operator.inputs[1:] if index >= 0]
    if not all(file.data(tensor) for tensor in constants):
        return False
    if operator.name in _CARRIERS:
        return True
    needed = 1 if operator.name == "FULLY_CONNECTED" else 2  # whose bias may be left out
    if not needed <= len(constants) <= 2 or file.data(graph.tensors[operator.inputs[0]]):
        return False
    options = operator.table.table("builtin_options")
    clamp = 0 if options is None else options.integer("fused_activation_function")
    return (
        clamp in _FUSED_CLAMPS
        and all(tensor.dtype == "FLOAT32" for tensor in constants)
        and all(np.isfinite(file.constant(tensor, "FLOAT32")).all() for tensor in constants)
    )


def _ranged(chain: Sequence[Operator]) -> list[int]:
    """The tensors with a range of their own: the input, and what each layer makes."""
    made = (o.outputs[0] for o in chain if o.name not in _CARRIERS)
    return [chain[0].inputs[0], *made]


def calibrate(
    model: bytes, images: npt.ArrayLike, layers: Collection[str] = ("stem",)
) -> dict[str, list[Range]]:
    """The ranges of the float layers' inputs and outputs, over `images`.

    Args:
        model: the bytes of a .tflite.
        images: inputs as the model takes them, samples along the first axis; a few hundred
            from the training set.
        layers: kinds, of `INT8_LAYERS`.

    Returns:
        What `quantize_layers` takes.

    Raises:
        ConversionError: there are no such layers, or the images do not fit or are not finite.
        ModelFileError: damaged.
    """
    from keras_sparsebnn.runtime import Interpreter

    file = read(model)
    graph, chains = file.subgraphs[0], _chains(file)
    for kind in layers:
        if not chains[kind]:
            raise ConversionError(
                f"Expected {_EXPECTED[kind]}, got another model. Leave out {kind!r}."
            )
    shape = graph.tensors[graph.inputs[0]].shape
    samples = np.asarray(images, np.float32)
    if (
        len(graph.inputs) != 1
        or samples.shape[1:] != shape[1:]
        or not len(samples)
        or not np.isfinite(samples).all()
    ):
        raise ConversionError(
            f"Expected a model of one input, and finite images of shape {list(shape[1:])} to "
            f"calibrate, got {len(graph.inputs)} and {len(samples) if samples.ndim else 0} "
            f"of shape {list(samples.shape[1:])}."
        )
    ranged = {kind: [i for chain in chains[kind] for i in _ranged(chain)] for kind in layers}
    made = sorted({i for tensors in ranged.values() for i in tensors} - {*graph.inputs})
    if set(layers) == {"stem"}:  # which needs no binary layer's kernel
        graph.table["operators"] = [operator.table for operator in chains["stem"][0]]
    graph.table["outputs"] = made
    interpreter = Interpreter(file.to_bytes())
    spans = dict.fromkeys(made, (np.inf, -np.inf))
    spans[graph.inputs[0]] = float(samples.min()), float(samples.max())
    for start in range(0, len(samples), 16):
        outputs = interpreter.predict(samples[start : start + 16])
        values = outputs if isinstance(outputs, list) else [outputs]
        for i, value in zip(made, values, strict=True):
            low, high = spans[i]
            spans[i] = min(low, float(value.min())), max(high, float(value.max()))
    return {kind: [Range.spanning(*spans[i]) for i in own] for kind, own in ranged.items()}


def quantize_layers(model: bytes, ranges: Ranges) -> bytes:
    """Lets float layers of a file compute in int8.

    Args:
        model: the bytes of a .tflite.
        ranges: from `calibrate`, of this model.

    Returns:
        The file. What comes before and after each layer, or the stem, is float as before.

    Raises:
        ConversionError: there are no such layers, or not that many ranges in them.
        ModelFileError: damaged.
    """
    file = read(model)
    chains = _chains(file)
    for kind, own in ranges.items():
        expected = sum(len(_ranged(chain)) for chain in chains[kind])
        if not chains[kind] or len(own) != expected:
            raise ConversionError(
                f"Expected a range for the input and for each layer of the model's {kind}, "
                f"{expected} in all, got {len(own)}."
            )
    before: dict[Operator, Table] = {}
    after: dict[Operator, Table] = {}
    change = _Change(file)
    for kind, own in ranges.items():
        left = iter(own)
        for chain in chains[kind]:
            first, last = chain[0].inputs[0], chain[-1].outputs[0]
            change.begin({tensor: next(left) for tensor in _ranged(chain)}, first)
            for operator in chain:
                change.change(operator)
            before[chain[0]] = change.operator("QUANTIZE", first, change.of[first])
            after[chain[-1]] = change.operator(DEQUANTIZE, change.of[last], last)
    change.drop_what_nothing_reads()
    operators: list[Table] = []
    for operator in file.subgraphs[0].operators:
        operators += [before[operator]] if operator in before else []
        operators.append(operator.table)
        operators += [after[operator]] if operator in after else []
    file.subgraphs[0].table["operators"] = operators
    return file.to_bytes()


def ranges_of(model: Model) -> dict[str, list[Range]]:
    """The ranges of a file's int8 layers, as `quantize_layers` was given them."""
    graph = model.subgraphs[0]
    found: dict[str, list[Range]] = {}
    for operator in graph.operators:
        if operator.name != "QUANTIZE" or len(operator.inputs) != 1:
            continue
        if graph.tensors[operator.inputs[0]].dtype != "FLOAT32":
            continue
        is_first = _only_reader(graph, operator.inputs[0]) is operator
        kind, own = _int8_chain(graph, operator)
        if kind == "shortcuts" and is_first and operator.inputs[0] in graph.inputs:
            kind = "stem"
        if own:
            found.setdefault(kind, []).extend(own)
    return found


def _int8_chain(graph: Subgraph, quantize: Operator) -> tuple[str, list[Range]]:
    """What a QUANTIZE begins, if a DEQUANTIZE ends it; else no ranges."""
    kind = ""
    found = [_range(graph.tensors[quantize.outputs[0]])]
    operator = _only_reader(graph, quantize.outputs[0])
    while operator is not None and operator.name != DEQUANTIZE:
        if operator.name in _VERSION and operator.name not in _CARRIERS:
            kind = kind or _KIND.get(operator.name, "shortcuts")
            found.append(_range(graph.tensors[operator.outputs[0]]))
        elif operator.name not in _CARRIERS:
            return "", []
        operator = _only_reader(graph, operator.outputs[0])
    ranges = [each for each in found if each is not None]
    whole = operator is not None and kind and len(ranges) == len(found)
    return (kind, ranges) if whole else ("", [])


def _range(tensor: Tensor) -> Range | None:
    quantization = tensor.table.table("quantization")
    if quantization is None or len(quantization.vector("scale")) != 1:
        return None
    zero_points = quantization.integers("zero_point") or (0,)
    return Range(float(quantization.vector("scale")[0]), zero_points[0])


class _Change:
    """A file that is being changed, chain by chain.

    Attributes:
        of: float tensor -> its int8 counterpart in this chain.
        ranges: float tensor -> what its int8 counterpart stands for.
        readers: tensor -> how many inputs of operators it is.
        left: buffers that a tensor had before.
    """

    def __init__(self, file: Model) -> None:
        self.file, self.graph = file, file.subgraphs[0]
        self.ranges: dict[int, Range] = {}
        self.of: dict[int, int] = {}
        self.readers = Counter(i for o in self.graph.operators for i in o.inputs)
        self.left: set[int] = set()

    def begin(self, ranges: dict[int, Range], first: int) -> None:
        self.ranges, self.of = ranges, {}
        self.activation(first, ranges[first])

    def operator(self, name: str, source: int, target: int) -> Table:
        """A new one that reads and writes one tensor."""
        code = operator_code(self.file.root, name, _VERSION.get(name, 1))
        return Table("Operator", opcode_index=code, inputs=[source], outputs=[target])

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
        else:
            inputs[1:] = self.parameters(operator, self.ranges[source])
        self.activation(target, self.ranges[target])
        version = _VERSION[operator.name]
        options = operator.table.table("builtin_options")
        if operator.name == "FULLY_CONNECTED" and options and options.integer("keep_num_dims"):
            version = _KEEPS_DIMENSIONS
        operator.table["opcode_index"] = operator_code(self.file.root, operator.name, version)
        operator.table["inputs"] = inputs
        operator.table["outputs"] = [self.of[target]]

    def parameters(self, operator: Operator, source: Range) -> Iterator[int]:
        """Weights and bias, in integers."""
        tensors = self.graph.tensors
        axis = _OUTPUT_AXIS.get(operator.name)
        filter, *shifts = operator.inputs[1:]
        weights: Floats = self.file.constant(tensors[filter], "FLOAT32")
        bias: Floats = np.zeros(1, np.float32)
        for shift in shifts:
            bias = self.file.constant(tensors[shift], "FLOAT32") if shift >= 0 else bias
        # A channel of hardly any weights may have a bias that needs a coarser scale.
        least = np.abs(bias) / (source.scale * _LARGEST_BIAS)
        if axis is None:
            scale = quantized(weights.reshape(1, -1), 0)[1]
            scale = np.maximum(scale, least.max(initial=0).astype(np.float32))
        else:
            scale = np.maximum(quantized(weights, axis)[1], least.astype(np.float32))
        along = scale.reshape([-1 if i == axis else 1 for i in range(weights.ndim)])
        integers = np.clip(np.rint(weights / along), -127, 127).astype(np.int8)
        yield self.constant(filter, integers, scale, axis or 0)
        steps = np.float64(source.scale) * scale.astype(np.float64)
        terms = np.rint(bias / steps).astype(np.int32)
        for shift in shifts:
            yield self.constant(shift, terms, steps.astype(np.float32), 0) if shift >= 0 else -1

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
            return self.graph.table.append(
                "tensors", Table("Tensor", name=tensor.name, **fields)
            )
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
