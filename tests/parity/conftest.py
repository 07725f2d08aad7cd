"""Stock interpreters with the delegate, and models of single LCE ops.

A model made here holds what a test asks for, also what no converter would write, and takes
microseconds to make.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import warnings
from typing import Any

import numpy as np
import pytest

from keras_sparsebnn.tflite_file import ModelBuilder

_STOCK = (
    "ai_edge_litert.interpreter",
    "tflite_runtime.interpreter",
    "tensorflow.lite.python.interpreter",
)


def _stock_runtime() -> Any:
    """The first of the stock interpreters that is installed."""
    for name in _STOCK:
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            return importlib.import_module(name)
    pytest.skip("needs a TFLite interpreter")


class DelegateRunner:
    """A stock interpreter for the custom ops of LCE and of the sub-bit format."""

    def __init__(self, library: str, runtime: Any) -> None:
        self.library = library
        self.runtime = runtime
        self.isas = [isa for isa in ("scalar", "avx2", "avx512", "neon") if self._has_isa(isa)]

    def in_runtime(self, runtime: Any) -> DelegateRunner:
        """The same library in another interpreter's package."""
        return DelegateRunner(self.library, runtime)

    def _has_isa(self, isa: str) -> bool:
        try:
            self.load(isa=isa)
        except ValueError:
            return False
        return True

    def load(self, **options: Any) -> Any:
        """The delegate; ValueError if it refuses an option."""
        return self.runtime.load_delegate(
            self.library, {name: str(value) for name, value in options.items()}
        )

    def interpreter(
        self,
        flat: bytes,
        delegate: Any = None,
        threads: int | None = None,
        xnnpack: bool = True,
    ) -> Any:
        """An interpreter without tensors allocated; its own ops by XNNPACK or built in."""
        resolver = self.runtime.OpResolverType
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(?s).*tf.lite.Interpreter is deprecated")
            return self.runtime.Interpreter(
                model_content=flat,
                num_threads=threads,
                experimental_delegates=[self.load() if delegate is None else delegate],
                experimental_op_resolver_type=(
                    resolver.AUTO if xnnpack else resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                ),
            )

    def run(self, flat: bytes, *inputs: np.ndarray, **options: Any) -> list[np.ndarray]:
        """All outputs, from a new interpreter."""
        return self.run_on(self.interpreter(flat, self.load(**options)), *inputs)

    @staticmethod
    def run_on(interpreter: Any, *inputs: np.ndarray) -> list[np.ndarray]:
        """All outputs; inputs of another shape resize the model."""
        details = interpreter.get_input_details()
        for detail, value in zip(details, inputs, strict=True):
            if tuple(detail["shape"]) != value.shape:
                interpreter.resize_tensor_input(detail["index"], value.shape)
        interpreter.allocate_tensors()
        for detail, value in zip(details, inputs, strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]

    def profile(self, delegate: Any) -> dict[str, Any]:
        """What `sparsebnn_delegate_profile_json` says."""
        function = ctypes.CDLL(self.library).sparsebnn_delegate_profile_json
        function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_char_p
        text: bytes = function(delegate._get_native_delegate_pointer())
        return json.loads(text)


@pytest.fixture(scope="session")
def op_model() -> type[ModelBuilder]:
    """The class to make models with."""
    return ModelBuilder


@pytest.fixture(scope="session")
def runner() -> DelegateRunner:
    """A stock interpreter with the delegate; SPARSEBNN_TEST_DELEGATE names another library."""
    from keras_sparsebnn.errors import SparseBNNError
    from keras_sparsebnn.runtime import delegate_library

    library = os.environ.get("SPARSEBNN_TEST_DELEGATE")
    if not library:
        try:
            library = str(delegate_library())
        except SparseBNNError as error:
            pytest.skip(str(error))
    return DelegateRunner(library, _stock_runtime())


@pytest.fixture(scope="session")
def vector_isas(runner: DelegateRunner) -> list[str]:
    """The instruction sets with fused multiply-add; skips where there is none."""
    isas = [isa for isa in runner.isas if isa != "scalar"]
    return isas or pytest.skip("needs fused multiply-add")
