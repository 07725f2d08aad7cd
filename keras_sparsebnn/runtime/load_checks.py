"""What interpreters trust in a file whose structure is valid, checked before they load it."""

from __future__ import annotations

from keras_sparsebnn.tflite_file import Model
from keras_sparsebnn.tflite_file.reader import damaged

__all__ = ["check_loadable"]

_INPUTS = {"BATCH_MATMUL": 2}
"""How many inputs kernels read without counting them."""


def check_loadable(model: Model) -> None:
    """Refuses files that would make interpreters crash, or write into the caller's bytes.

    Raises:
        ModelFileError: the file is one of them.
    """
    for graph in model.subgraphs:
        results = (index for operator in graph.operators for index in operator.outputs)
        for index in (*graph.inputs, *results):
            # Constants are the file's own bytes; a mapped file cannot be written at all.
            if index >= 0 and len(model.data(graph.tensors[index])):
                raise damaged(f"constant data for {graph.tensors[index].name!r}, a result")
        for operator in graph.operators:
            if len(operator.inputs) < _INPUTS.get(operator.name, 0):
                raise damaged(f"{operator.name} with inputs {list(operator.inputs)}")
        for tensor in graph.tensors:
            quantization = tensor.table.table("quantization")
            scales = 0 if quantization is None else len(quantization.vector("scale"))
            if quantization is not None and scales > 1:
                axis = quantization.integer("quantized_dimension")
                if not 0 <= axis < len(tensor.shape) or tensor.shape[axis] != scales:
                    raise damaged(
                        f"{scales} scales on axis {axis} of shape {list(tensor.shape)}, tensor "
                        f"{tensor.name!r}"
                    )
