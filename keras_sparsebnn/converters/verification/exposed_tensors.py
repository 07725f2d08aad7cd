"""Runs a .tflite and returns every intermediate result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.converters.verification.quantization import Scale, dequantized, quantized
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import Interpreter
from keras_sparsebnn.tflite_file import Model, read

__all__ = ["ExposedInterpreter", "expose"]

Array = npt.NDArray[Any]

_DTYPES = {
    "FLOAT32": np.float32,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}


def expose(model: Model, tensors: Sequence[int]) -> bytes:
    """The file with `tensors` of its first subgraph as outputs."""
    exposed = read(model.flat)
    exposed.subgraphs[0].table["outputs"] = tensors
    return exposed.to_bytes()


class ExposedInterpreter:
    """An interpreter, every float, int8 or bit-packed activation an output.

    Args:
        model: the file.
        runtime: "lce" or "delegate".

    Attributes:
        model: the file.
        batch: samples in one run, as the file fixes it.
        tensors: indices of what `run` returns.
        steps: index of each int8 tensor -> the difference that one integer makes.
    """

    def __init__(self, model: Model, runtime: str = "lce") -> None:
        self.model = model
        graph = model.subgraphs[0]
        constant = {i for i, t in enumerate(graph.tensors) if model.data(t)}
        wanted = dict.fromkeys(graph.outputs)
        for operator in graph.operators:
            for index in operator.outputs:
                dtype = graph.tensors[index].dtype
                bits = dtype == "INT32" and operator.name.startswith("Lce")
                if index not in constant and (dtype in ("FLOAT32", "INT8") or bits):
                    wanted[index] = None
        self.tensors = list(wanted)
        self._interpreter = Interpreter(expose(model, self.tensors), runtime=runtime)
        self._quantization = self._scales("output")
        self.steps = {
            index: float(np.max(scale))
            for index, (scale, _) in zip(self.tensors, self._quantization, strict=True)
            if scale and graph.tensors[index].dtype == "INT8"
        }
        for index, (scale, _) in zip(graph.inputs, self._scales("input"), strict=True):
            if scale:
                self.steps[index] = float(np.max(scale))
            tensor = graph.tensors[index]
            if tensor.dtype not in _DTYPES or not tensor.shape or not tensor.shape[0]:
                raise SparseBNNError(
                    f"Expected inputs of numbers with a batch dimension, got {tensor.dtype} of "
                    f"shape {list(tensor.shape)} (input {tensor.name})."
                )
        self.batch = graph.tensors[graph.inputs[0]].shape[0] if graph.inputs else 1

    def _scales(self, side: str) -> list[tuple[Scale, int | None]]:
        fields = (getattr(self._interpreter, f"{side}_{x}") for x in ("scales", "zero_points"))
        return list(zip(*fields, strict=True))

    def run(self, inputs: Sequence[Array]) -> dict[int, Array]:
        """Tensor index -> values for all samples; of int8, the numbers they stand for.

        Args:
            inputs: an array per input of the file, in its order; a multiple of `batch` samples.
        """
        graph = self.model.subgraphs[0]
        dtypes = [_DTYPES[graph.tensors[index].dtype] for index in graph.inputs]
        feeds = [
            np.asarray(quantized(x, *scale), dtype)
            for x, dtype, scale in zip(inputs, dtypes, self._scales("input"), strict=True)
        ]
        # An int8 input is itself what a layer of fake quantization makes of it.
        seen = zip(graph.inputs, self.as_seen(feeds), strict=True)
        results = {index: x for index, x in seen if graph.tensors[index].dtype == "INT8"}
        runs = len(feeds[0]) // self.batch
        for number in range(runs):
            start = number * self.batch
            outputs = self._interpreter.predict([x[start : start + self.batch] for x in feeds])
            values = outputs if isinstance(outputs, list) else [outputs]
            for index, integers, scale in zip(
                self.tensors, values, self._quantization, strict=True
            ):
                value = dequantized(integers, *scale)
                if runs == 1:
                    results[index] = value
                    continue
                # In place: all runs side by side would take the memory twice.
                rows = len(value)
                if index not in results:
                    results[index] = np.empty((runs * rows, *value.shape[1:]), value.dtype)
                results[index][number * rows : (number + 1) * rows] = value
        return results

    def as_seen(self, inputs: Sequence[Array]) -> list[Array]:
        """The inputs as the file sees them: rounded, where it takes int8."""
        return [
            dequantized(quantized(x, *scale), *scale)
            for x, scale in zip(inputs, self._scales("input"), strict=True)
        ]

    @property
    def bytes_per_sample(self) -> int:
        """Bytes of all that `run` returns, for one sample."""
        tensors = self.model.subgraphs[0].tensors
        sizes = (4 * int(np.prod(tensors[index].shape)) for index in self.tensors)
        return sum(sizes) // self.batch
