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

import os
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._rules import INT8_LAYERS
from keras_sparsebnn.converters.errors import ConversionError
from keras_sparsebnn.converters.int8_change import (
    CARRIERS,
    OUTPUT_AXIS,
    VERSIONS,
    Int8Change,
    Range,
    range_of,
)
from keras_sparsebnn.converters.int8_weights import DEQUANTIZE, has_int8_weights
from keras_sparsebnn.tflite_file import Model, Operator, Subgraph, Table, read

__all__ = ["Range", "calibrate", "layers_of", "quantize_layers", "ranges_of"]

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
"""Operators with weights in a stem."""

_KIND = {"CONV_2D": "shortcuts", "FULLY_CONNECTED": "classifier"}
"""Operators with weights that are chains by themselves, outside of the stem."""

_FUSED_CLAMPS = (0, 1, 3)  # none, ReLU, ReLU6

_EXPECTED = {
    "stem": "a model that begins with a float convolution",
    "shortcuts": "float convolutions behind the stem",
    "classifier": "float fully connected layers",
}

Floats = npt.NDArray[np.float32]
Ranges = Mapping[int, Sequence["Range"]]
"""By the float tensor that a chain makes: of the chain's input and of what its layers make."""


def _stem(file: Model) -> list[Operator]:
    """The operators from the input to the last convolution, or pool after it, of a chain."""
    graph = file.subgraphs[0]
    if len(graph.inputs) != 1:
        return []
    chain: list[Operator] = []
    tensor = graph.inputs[0]
    while (
        (operator := _only_reader(graph, tensor)) is not None
        and operator not in chain  # in circles, as only a damaged file goes
        and operator.name in (*_CONVOLUTIONS, *CARRIERS)
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


def layers_of(model: Model) -> dict[str, list[int]]:
    """By kind of `INT8_LAYERS`, the float tensors that layers or chains of them make."""
    return {
        kind: [chain[-1].outputs[0] for chain in chains]
        for kind, chains in _chains(model).items()
    }


def _fits(file: Model, graph: Subgraph, operator: Operator) -> bool:
    """Whether int8 kernels compute what this operator does, within rounding."""
    if not operator.inputs or operator.inputs[0] < 0 or len(operator.outputs) != 1:
        return False
    source, *constants = (graph.tensors[index] for index in operator.inputs if index >= 0)
    if source.dtype != "FLOAT32" or file.data(source):
        return False
    if not all(file.data(tensor) for tensor in constants):
        return False
    if operator.name in CARRIERS:
        return True
    options = operator.table.table("builtin_options")
    try:
        clamp = 0 if options is None else options.integer("fused_activation_function")
    except KeyError:  # another operator's options
        return False
    # The bias of a fully connected layer may be left out.
    fewest = 1 if operator.name == "FULLY_CONNECTED" else 2
    if clamp not in _FUSED_CLAMPS or not fewest <= len(constants) <= 2:
        return False
    axis = OUTPUT_AXIS.get(operator.name, 0)
    shape = constants[0].shape
    return (
        axis < len(shape)
        and all(bias.shape == (shape[axis],) for bias in constants[1:])
        and all(
            tensor.dtype == "FLOAT32"
            and tensor.table.table("sparsity") is None
            and np.isfinite(file.constant(tensor, "FLOAT32")).all()
            for tensor in constants
        )
    )


def _ranged(chain: Sequence[Operator]) -> list[int]:
    """The tensors with a range of their own: the input, and what each layer makes."""
    made = (o.outputs[0] for o in chain if o.name not in CARRIERS)
    return [chain[0].inputs[0], *made]


def calibrate(
    model: bytes | str | os.PathLike[str],
    images: npt.ArrayLike,
    layers: Collection[str] = ("stem",),
) -> dict[int, list[Range]]:
    """The ranges of the float layers' inputs and outputs, over `images`.

    Args:
        model: the bytes of a .tflite, or its path.
        images: inputs as the model takes them, samples along the first axis; a few hundred
            from the training set.
        layers: kinds, of `INT8_LAYERS`.

    Returns:
        What `quantize_layers` takes.

    Raises:
        ConversionError: there are no such layers, the images do not fit, or what they give is
            not finite.
        ModelFileError: damaged.
    """
    from keras_sparsebnn.runtime import Interpreter

    file = read(model)
    graph, chains = file.subgraphs[0], _chains(file)
    _check_layers(file, chains, layers)
    samples = _checked_images(graph, images)
    chosen = [chain for kind in layers for chain in chains[kind]]
    made = sorted({i for chain in chosen for i in _ranged(chain)} - {*graph.inputs})
    if set(layers) == {"stem"}:  # which needs no binary layer's kernel
        graph.table["operators"] = [operator.table for operator in chosen[0]]
    graph.table["outputs"] = made
    interpreter = Interpreter(file.to_bytes())
    spans = dict.fromkeys(made, (np.inf, -np.inf))
    spans[graph.inputs[0]] = float(samples.min()), float(samples.max())
    batch = max(1, graph.tensors[graph.inputs[0]].shape[0])
    chunk = batch * max(1, 16 // batch)
    for start in range(0, len(samples), chunk):
        outputs = interpreter.predict(samples[start : start + chunk])
        values = outputs if isinstance(outputs, list) else [outputs]
        for i, value in zip(made, values, strict=True):
            if not np.isfinite(value).all():
                raise ConversionError(
                    f"Expected finite activations to calibrate, got others in "
                    f"{graph.tensors[i].name!r}."
                )
            low, high = spans[i]
            spans[i] = min(low, float(value.min())), max(high, float(value.max()))
    return {
        chain[-1].outputs[0]: [Range.spanning(*spans[i]) for i in _ranged(chain)]
        for chain in chosen
    }


def _check_layers(
    file: Model, chains: Mapping[str, Sequence[object]], layers: Collection[str]
) -> None:
    for kind in layers:
        if kind not in chains:
            raise ConversionError(
                f"Expected layers of {', '.join(map(repr, INT8_LAYERS))}, got {kind!r}."
            )
        if not chains[kind]:
            hint = ""
            if has_int8_weights(file):
                hint = " Layers with int8 weights stay as they are: start from a file without."
            raise ConversionError(
                f"Expected {_EXPECTED[kind]}, got another model. Leave out {kind!r}.{hint}"
            )


def _checked_images(graph: Subgraph, images: npt.ArrayLike) -> Floats:
    if len(graph.inputs) != 1:
        raise ConversionError(
            f"Expected a model of one input to calibrate, got {len(graph.inputs)} inputs."
        )
    shape = graph.tensors[graph.inputs[0]].shape
    samples = np.asarray(images, np.float32)
    if not samples.size or samples.shape[1:] != shape[1:]:
        raise ConversionError(
            f"Expected images of shape {list(shape[1:])} to calibrate, got "
            f"{len(samples) if samples.ndim else 0} of shape {list(samples.shape[1:])}."
        )
    if len(samples) % max(1, shape[0]):
        raise ConversionError(
            f"Expected a multiple of {shape[0]} images to calibrate a model of batches of "
            f"{shape[0]}, got {len(samples)}."
        )
    if not np.isfinite(samples).all():
        raise ConversionError("Expected finite images to calibrate, got others.")
    return samples


def quantize_layers(model: bytes | str | os.PathLike[str], ranges: Ranges) -> bytes:
    """Lets float layers of a file compute in int8.

    Args:
        model: the bytes of a .tflite, or its path.
        ranges: from `calibrate`, of this model.

    Returns:
        The file. What comes before and after each layer, or the stem, is float as before.

    Raises:
        ConversionError: there are no such layers, or not that many ranges in them.
        ModelFileError: damaged.
    """
    file = read(model)
    chains = {c[-1].outputs[0]: c for own in _chains(file).values() for c in own}
    for tensor, own in ranges.items():
        expected = len(_ranged(chains[tensor])) if tensor in chains else 0
        if not expected or len(own) != expected:
            raise ConversionError(
                f"Expected ranges of the input and of each layer of a chain that makes tensor "
                f"{tensor}, {expected} in all, got {len(own)}."
            )
    operators: list[Table] = []
    change = Int8Change(file)
    chain_of = {chains[tensor][0]: (chains[tensor], own) for tensor, own in ranges.items()}
    ends: dict[Operator, Table] = {}
    for operator in file.subgraphs[0].operators:
        if operator in chain_of:
            chain, own = chain_of[operator]
            first, last = chain[0].inputs[0], chain[-1].outputs[0]
            change.begin(dict(zip(_ranged(chain), own, strict=True)), first)
            for each in chain:
                change.change(each)
            operators.append(change.operator("QUANTIZE", first, change.of[first]))
            ends[chain[-1]] = change.operator(DEQUANTIZE, change.of[last], last)
        operators.append(operator.table)
        operators += [ends[operator]] if operator in ends else []
    file.subgraphs[0].table["operators"] = operators
    change.drop_what_nothing_reads()
    return file.to_bytes()


def ranges_of(model: Model) -> dict[int, list[Range]]:
    """The ranges of a file's int8 layers, as `quantize_layers` was given them."""
    graph = model.subgraphs[0]
    found = {}
    for operator in graph.operators:
        ends = (*operator.inputs, *operator.outputs)
        one_each = len(operator.inputs) == 1 and len(ends) == 2
        if operator.name == "QUANTIZE" and one_each:
            from_float = graph.tensors[ends[0]].dtype == "FLOAT32"
            found.update(_int8_chain(graph, ends[1]) if from_float else {})
    return found


def _int8_chain(graph: Subgraph, tensor: int) -> dict[int, list[Range]]:
    """Ranges of the chain from a QUANTIZE to `tensor` to its DEQUANTIZE; empty without one."""
    found = [range_of(graph.tensors[tensor])]
    seen: list[Operator] = []
    while (operator := _only_reader(graph, tensor)) is not None and operator not in seen:
        seen.append(operator)
        if len(operator.outputs) != 1 or operator.name not in VERSIONS:
            return {}
        (tensor,) = operator.outputs
        if operator.name == DEQUANTIZE:
            ranges = [each for each in found if each is not None]
            return {tensor: ranges} if len(ranges) == len(found) > 1 else {}
        if operator.name not in CARRIERS:
            found.append(range_of(graph.tensors[tensor]))
    return {}
