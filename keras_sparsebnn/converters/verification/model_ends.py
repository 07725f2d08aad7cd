"""The inputs and outputs of a Keras model, found among those of its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import keras
from keras_sparsebnn.converters.errors import VerificationError
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.tflite_file import Model, read
from keras_sparsebnn.transforms.freezing import freeze

__all__ = [
    "Inputs",
    "as_arrays",
    "file_inputs",
    "in_model_order",
    "input_order",
    "output_tensors",
]

Array = npt.NDArray[Any]
Inputs = npt.ArrayLike | Sequence[npt.ArrayLike] | Mapping[str, npt.ArrayLike]


def file_inputs(model: keras.Model, flat: bytes, inputs: Inputs) -> list[Array]:
    """What `verify` was given, in the order of the file's inputs.

    Raises:
        SparseBNNError: the inputs do not fit the model.
        VerificationError: nor the file.
    """
    frozen = freeze(model)
    arrays = as_arrays(frozen, inputs)
    return [arrays[i] for i in input_order(frozen, read(flat))]


def as_arrays(frozen: keras.Model, inputs: Inputs) -> list[Array]:
    """One array per Keras input."""
    names = list(frozen.input_names)
    if isinstance(inputs, Mapping):
        if sorted(inputs) != sorted(names):
            raise SparseBNNError(f"Expected inputs {names}, got {sorted(inputs)}.")
        arrays = [np.asarray(inputs[name]) for name in names]
    elif isinstance(inputs, (list, tuple)):
        arrays = [np.asarray(x) for x in inputs]
    else:
        arrays = [np.asarray(inputs)]
    shapes = [tuple(x.shape[1:]) for x in frozen.inputs]
    if [x.shape[1:] for x in arrays] != shapes or len({len(x) for x in arrays}) != 1:
        raise SparseBNNError(
            f"Expected inputs of shapes {[('samples', *shape) for shape in shapes]}, got "
            f"{[x.shape for x in arrays]}."
        )
    if len(arrays[0]) == 0:
        raise SparseBNNError("Expected at least one sample, got none.")
    return arrays


def input_order(frozen: keras.Model, file: Model) -> list[int]:
    """For each input of the file the Keras input it is; its signature knows the names."""
    graph = file.subgraphs[0]
    names = list(frozen.input_names)
    by_tensor = {tensor: name for name, tensor in file.input_names.items()}
    found = [by_tensor.get(tensor) for tensor in graph.inputs]
    if sorted(map(str, found)) == sorted(names):
        order = [names.index(str(name)) for name in found]
    else:
        order = list(range(len(graph.inputs)))
    want = [tuple(x.shape[1:]) for x in frozen.inputs]
    got = [graph.tensors[index].shape[1:] for index in graph.inputs]
    if len(got) != len(want) or [want[i] for i in order] != got:
        raise VerificationError(
            f"Expected a file with inputs of shapes {want}, got {got}. "
            "Is the file this model's?"
        )
    return order


def output_tensors(frozen: keras.Model, file: Model) -> list[int]:
    """The file's tensor for each Keras output."""
    outputs = list(file.subgraphs[0].outputs)
    if len(outputs) != len(frozen.outputs):
        raise VerificationError(
            f"Expected a file with {len(frozen.outputs)} outputs, got {len(outputs)}. "
            "Is the file this model's?"
        )
    named = [file.output_names.get(name) for name in frozen.output_names]
    if sorted(index for index in named if index is not None) == sorted(outputs):
        return [int(index) for index in named if index is not None]
    return outputs


def in_model_order(frozen: keras.Model, flat: bytes) -> bytes:
    """The file with its inputs and outputs in the model's order: converters sort them.

    Raises:
        VerificationError: it has others than the model.
    """
    file = read(flat)
    graph = file.subgraphs[0]
    order = input_order(frozen, file)
    inputs = [graph.inputs[order.index(i)] for i in range(len(order))]
    outputs = output_tensors(frozen, file)
    if (inputs, outputs) == ([*graph.inputs], [*graph.outputs]):
        return flat
    graph.table["inputs"], graph.table["outputs"] = inputs, outputs
    return file.to_bytes()
