"""Models of single LCE ops, written byte by byte, and stock interpreters with the delegate.

A model made here holds what a test asks for, also what no converter would write, and takes
microseconds to make.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

_SCHEMA_TYPES = {
    "float32": 0,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "int8": 9,
    "uint16": 16,
}


@dataclass
class _Tensor:
    name: str
    shape: Sequence[int]
    dtype: str
    data: bytes | None
    scale: float | None
    zero_point: int


@dataclass
class OpModel:
    """A .tflite in the making: tensors and custom ops, then `flat()`."""

    tensors: list[_Tensor] = field(default_factory=list)
    ops: list[tuple[str, list[int], list[int], bytes]] = field(default_factory=list)

    def activation(
        self, shape: Sequence[int], dtype: str, scale: float | None = None, zero_point: int = 0
    ) -> int:
        """A tensor that is computed; returns its index."""
        name = f"tensor{len(self.tensors)}"
        self.tensors.append(_Tensor(name, shape, dtype, None, scale, zero_point))
        return len(self.tensors) - 1

    def constant(self, values: np.ndarray) -> int:
        """A tensor whose values are in the file."""
        name = f"constant{len(self.tensors)}"
        data = np.ascontiguousarray(values)
        self.tensors.append(
            _Tensor(name, values.shape, values.dtype.name, data.tobytes(), None, 0)
        )
        return len(self.tensors) - 1

    def op(
        self,
        name: str,
        inputs: list[int],
        outputs: list[int],
        options: Mapping[str, int] | bytes = b"",
    ) -> None:
        """A custom op; options as a FlexBuffer map, or as the bytes themselves."""
        raw = options if isinstance(options, bytes) else flexbuffer_map(options)
        self.ops.append((name, inputs, outputs, raw))

    def builtin(self, code: int, inputs: list[int], outputs: list[int]) -> None:
        """An op of TFLite's own that needs no options, by its number."""
        self.ops.append((f"builtin {code}", inputs, outputs, b""))

    def flat(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The file."""
        import flatbuffers
        import tflite

        builder = flatbuffers.Builder(1024)

        def vector(items: Sequence[int]) -> int:
            return builder.CreateNumpyVector(np.asarray(items, np.int32))

        def offsets(items: list[int]) -> int:
            builder.StartVector(4, len(items), 4)
            for item in reversed(items):
                builder.PrependUOffsetTRelative(item)
            return builder.EndVector()

        buffers = [_buffer(builder, tflite, None)]
        tensors = []
        for tensor in self.tensors:
            quantization = _quantization(builder, tflite, tensor)
            buffer = 0
            if tensor.data is not None:
                buffer = len(buffers)
                buffers.append(_buffer(builder, tflite, tensor.data))
            name, shape = builder.CreateString(tensor.name), vector(tensor.shape)
            tflite.TensorStart(builder)
            tflite.TensorAddShape(builder, shape)
            tflite.TensorAddType(builder, _SCHEMA_TYPES[tensor.dtype])
            tflite.TensorAddBuffer(builder, buffer)
            tflite.TensorAddName(builder, name)
            if quantization is not None:
                tflite.TensorAddQuantization(builder, quantization)
            tensors.append(tflite.TensorEnd(builder))

        names = sorted({op[0] for op in self.ops})
        codes = []
        for name in names:
            custom = builder.CreateString(name)
            code = int(name.removeprefix("builtin ")) if name.startswith("builtin ") else 32
            tflite.OperatorCodeStart(builder)
            tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, code)
            tflite.OperatorCodeAddBuiltinCode(builder, code)
            if code == 32:
                tflite.OperatorCodeAddCustomCode(builder, custom)
            tflite.OperatorCodeAddVersion(builder, 1)
            codes.append(tflite.OperatorCodeEnd(builder))
        operators = []
        for name, op_inputs, op_outputs, options in self.ops:
            raw = builder.CreateNumpyVector(np.frombuffer(options, np.uint8))
            ins, outs = vector(op_inputs), vector(op_outputs)
            tflite.OperatorStart(builder)
            tflite.OperatorAddOpcodeIndex(builder, names.index(name))
            tflite.OperatorAddInputs(builder, ins)
            tflite.OperatorAddOutputs(builder, outs)
            tflite.OperatorAddCustomOptions(builder, raw)
            operators.append(tflite.OperatorEnd(builder))
        parts = offsets(tensors), vector(inputs), vector(outputs), offsets(operators)
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddTensors(builder, parts[0])
        tflite.SubGraphAddInputs(builder, parts[1])
        tflite.SubGraphAddOutputs(builder, parts[2])
        tflite.SubGraphAddOperators(builder, parts[3])
        graph = offsets([tflite.SubGraphEnd(builder)])
        all_codes, all_buffers = offsets(codes), offsets(buffers)
        tflite.ModelStart(builder)
        tflite.ModelAddVersion(builder, 3)
        tflite.ModelAddOperatorCodes(builder, all_codes)
        tflite.ModelAddSubgraphs(builder, graph)
        tflite.ModelAddBuffers(builder, all_buffers)
        builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def _buffer(builder: Any, tflite: Any, data: bytes | None) -> int:
    offset = None
    if data is not None:
        # Constants are aligned to 16 bytes, as converters do.
        builder.StartVector(1, len(data), 16)
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        offset = builder.EndVector()
    tflite.BufferStart(builder)
    if offset is not None:
        tflite.BufferAddData(builder, offset)
    return tflite.BufferEnd(builder)


def _quantization(builder: Any, tflite: Any, tensor: _Tensor) -> int | None:
    if tensor.scale is None:
        return None
    scale = builder.CreateNumpyVector(np.asarray([tensor.scale], np.float32))
    zero_point = builder.CreateNumpyVector(np.asarray([tensor.zero_point], np.int64))
    tflite.QuantizationParametersStart(builder)
    tflite.QuantizationParametersAddScale(builder, scale)
    tflite.QuantizationParametersAddZeroPoint(builder, zero_point)
    return tflite.QuantizationParametersEnd(builder)


def flexbuffer_map(options: Mapping[str, Any]) -> bytes:
    """A FlexBuffer map of integers."""
    from flatbuffers import flexbuffers

    builder = flexbuffers.Builder()
    with builder.Map():
        for key in sorted(options):
            builder.Add(key, options[key])
    return bytes(builder.Finish())


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

    def interpreter(self, flat: bytes, delegate: Any = None, threads: int | None = None) -> Any:
        """An interpreter without tensors allocated."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(?s).*tf.lite.Interpreter is deprecated")
            return self.runtime.Interpreter(
                model_content=flat,
                num_threads=threads,
                experimental_delegates=[self.load() if delegate is None else delegate],
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
def op_model() -> type[OpModel]:
    """The class to make models with."""
    return OpModel


@pytest.fixture(scope="session")
def runner() -> DelegateRunner:
    """A stock interpreter with the delegate; SPARSEBNN_TEST_DELEGATE names another library."""
    pytest.importorskip("tflite", reason="needs the `tflite` package")
    from keras_sparsebnn.errors import SparseBNNError
    from keras_sparsebnn.runtime import delegate_library

    library = os.environ.get("SPARSEBNN_TEST_DELEGATE")
    if not library:
        try:
            library = str(delegate_library())
        except SparseBNNError as error:
            pytest.skip(str(error))
    return DelegateRunner(library, _stock_runtime())
