"""Stock TFLite in its three packages, with or without the delegate."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from types import ModuleType
from typing import Any

import numpy as np

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime.backend import Array, Backend, TensorInfo
from keras_sparsebnn.runtime.delegate import (
    DelegateOptions,
    delegate_library,
    load_library,
    profile_json,
)
from keras_sparsebnn.runtime.model_file import tensor_names
from keras_sparsebnn.tflite_file import Model

__all__ = ["StockBackend", "import_stock", "stock_installed"]

# Same interpreter, three packages; the first that is installed. tf.lite brings all of
# TensorFlow and so comes last.
_PACKAGES = (
    ("litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
    ("tf.lite", "tensorflow.lite.python.interpreter"),
)


def _installed() -> tuple[str, str] | None:
    for name, module in _PACKAGES:
        if importlib.util.find_spec(module.partition(".")[0]) is not None:
            return name, module
    return None


def stock_installed() -> bool:
    """Whether `import_stock` will find something."""
    return _installed() is not None


def import_stock() -> tuple[str, ModuleType]:
    """`(name, module)` of the interpreter that is installed.

    Raises:
        SparseBNNError: none is installed.
    """
    found = _installed()
    if found is None:
        raise SparseBNNError(
            "Expected a TFLite interpreter to be installed, found none of ai-edge-litert, "
            "tflite-runtime and tensorflow. Run: pip install 'keras-sparsebnn[device]'"
        )
    return found[0], importlib.import_module(found[1])


class StockBackend(Backend):
    """LiteRT, tflite-runtime or tf.lite."""

    def __init__(self, model: Model, num_threads: int, options: DelegateOptions | None) -> None:
        _, library = import_stock()
        self._profiled = None
        delegates = []
        if options is not None:
            load_library()  # its message is better than load_delegate's
            delegate = library.load_delegate(str(delegate_library()), options.strings())
            delegates = [delegate]
            if options.profile:
                self._profiled = delegate
        with warnings.catch_warnings():
            # tf.lite announces that it moves to LiteRT; this is the last resort.
            warnings.filterwarnings("ignore", "(?s).*tf.lite.Interpreter is deprecated")
            self._interpreter = library.Interpreter(
                model_content=model.flat,
                num_threads=num_threads,
                experimental_delegates=delegates,
            )
        self._interpreter.allocate_tensors()
        details = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input_indices, self._output_indices = (
            [d["index"] for d in side] for side in details
        )
        self.inputs, self.outputs = (
            [_tensor_info(name, d) for name, d in zip(names, side, strict=True)]
            for names, side in zip(tensor_names(model), details, strict=True)
        )

    def invoke(self, inputs: list[Array]) -> list[Array]:
        for index, value in zip(self._input_indices, inputs, strict=True):
            self._interpreter.set_tensor(index, value)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._output_indices]

    def profile_json(self) -> str | None:
        return None if self._profiled is None else profile_json(self._profiled)


def _tensor_info(name: str, detail: dict[str, Any]) -> TensorInfo:
    scale, zero_point = detail["quantization"]
    return TensorInfo(
        name,
        tuple(detail["shape"].tolist()),
        np.dtype(detail["dtype"]),
        scale or None,
        zero_point if scale else None,
    )
