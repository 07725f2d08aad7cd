"""One interface over the interpreters that can run a `.tflite`."""

from __future__ import annotations

import abc
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime.flatbuffer import custom_ops, read_model

__all__ = ["RUNTIMES", "Interpreter", "import_runtime"]

RUNTIMES = ("auto", "lce", "litert")
"""What `Interpreter(runtime=...)` accepts."""

MAX_THREADS = 256

_LCE_LIBRARY = "larq_compute_engine.tflite.python.interpreter_wrapper_lite"

# Same interpreter, three packages; the first that is installed.
_STOCK = (
    ("litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
    ("tf.lite", "tensorflow.lite.python.interpreter"),
)

Array = npt.NDArray[Any]


class _Backend(abc.ABC):
    """What every interpreter library is made to offer."""

    input_shapes: list[tuple[int, ...]]
    input_types: list[np.dtype[Any]]
    input_scales: list[Any]
    input_zero_points: list[Any]
    output_shapes: list[tuple[int, ...]]
    output_types: list[np.dtype[Any]]
    output_scales: list[Any]
    output_zero_points: list[Any]

    @abc.abstractmethod
    def invoke(self, inputs: list[Array]) -> list[Array]:
        """One inference."""


def _import_lce() -> Any:
    """LCE's interpreter library, without the package around it.

    `larq_compute_engine/__init__.py` imports the converter and so TensorFlow; the library
    itself needs NumPy only and loads in milliseconds. It goes into `sys.modules` under its
    own name, because it cannot be initialised twice.
    """
    loaded = sys.modules.get(_LCE_LIBRARY)
    if loaded is not None:
        return loaded
    package = importlib.util.find_spec("larq_compute_engine")
    folders = package.submodule_search_locations if package is not None else None
    spec = importlib.machinery.PathFinder.find_spec(
        _LCE_LIBRARY, [str(Path(folder, "tflite", "python")) for folder in folders or ()]
    )
    if spec is None or spec.loader is None:
        raise SparseBNNError(
            "Expected larq-compute-engine to be installed (the model has LCE ops, or "
            "runtime=\"lce\"), found none. Run: pip install 'keras-sparsebnn[convert]'"
        )
    library = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)
    sys.modules[_LCE_LIBRARY] = library
    return library


def _import_stock() -> tuple[str, Any]:
    for name, module in _STOCK:
        if importlib.util.find_spec(module.partition(".")[0]) is not None:
            return name, importlib.import_module(module)
    raise SparseBNNError(
        "Expected a TFLite interpreter to be installed, found none of ai-edge-litert, "
        "tflite-runtime and tensorflow. Run: pip install 'keras-sparsebnn[device]'"
    )


def import_runtime(runtime: str) -> str:
    """Imports the library behind "lce" or "litert"; returns its name."""
    if runtime == "lce":
        _import_lce()
        return "lce"
    return _import_stock()[0]


class _LCEBackend(_Backend):
    """LCE's TFLite, with its custom ops built in."""

    def __init__(self, data: bytes, num_threads: int) -> None:
        self._data = data  # the library does not copy it
        library = _import_lce()
        # reference kernels off, indirect BGEMM off, XNNPACK off: LCE's defaults.
        self._interpreter = library.LiteInterpreter(data, num_threads, False, False, False)
        for name in ("shapes", "types", "scales", "zero_points"):
            for side in ("input", "output"):
                attribute = f"{side}_{name}"
                setattr(self, attribute, getattr(self._interpreter, attribute))

    def invoke(self, inputs: list[Array]) -> list[Array]:
        outputs: list[Array] = self._interpreter.predict(inputs)
        return outputs


class _StockBackend(_Backend):
    """LiteRT, tflite-runtime or tf.lite."""

    def __init__(self, data: bytes, num_threads: int) -> None:
        _, library = _import_stock()
        with warnings.catch_warnings():
            # tf.lite announces that it moves to LiteRT; this is the last resort.
            warnings.filterwarnings("ignore", "(?s).*tf.lite.Interpreter is deprecated")
            self._interpreter = library.Interpreter(model_content=data, num_threads=num_threads)
        self._interpreter.allocate_tensors()
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()
        for side, details in (("input", self._inputs), ("output", self._outputs)):
            setattr(self, f"{side}_shapes", [tuple(d["shape"].tolist()) for d in details])
            setattr(self, f"{side}_types", [np.dtype(d["dtype"]) for d in details])
            quantization = [d["quantization"] for d in details]
            setattr(self, f"{side}_scales", [scale or None for scale, _ in quantization])
            setattr(
                self,
                f"{side}_zero_points",
                [zero if scale else None for scale, zero in quantization],
            )

    def invoke(self, inputs: list[Array]) -> list[Array]:
        for detail, value in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], value)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(detail["index"]) for detail in self._outputs]


class Interpreter:
    """Runs a `.tflite`, stock or with LCE's ops. The interface is that of LCE's interpreter.

    Args:
        model: the path of a `.tflite`, or its bytes.
        num_threads: threads of one inference, 1 to 256.
        runtime: "lce" is LCE's interpreter, "litert" a stock one (ai-edge-litert,
            tflite-runtime or tf.lite, the first that is installed); "auto" takes LCE's for
            files with LCE's custom ops. On x86, LCE has no optimised kernels.

    Not thread-safe: one interpreter per thread.

    Raises:
        SparseBNNError: no suitable runtime is installed, or the file is damaged.
        OSError: the file cannot be read.

    Example:
        >>> interpreter = Interpreter("model.tflite")           # doctest: +SKIP
        >>> logits = interpreter.predict(pictures)              # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        *,
        num_threads: int = 1,
        runtime: str = "auto",
    ) -> None:
        if runtime not in RUNTIMES:
            raise SparseBNNError(
                f"Expected `runtime` to be one of {RUNTIMES}, got {runtime!r}."
            )
        if not 1 <= num_threads <= MAX_THREADS:
            raise SparseBNNError(
                f"Expected `num_threads` to be in [1, {MAX_THREADS}], got {num_threads}."
            )
        data, self._name = read_model(model)
        lce_ops = [op for op in custom_ops(data) if op.startswith("Lce")]
        if runtime == "litert" and lce_ops:
            raise SparseBNNError(
                f'Expected stock TFLite ops for runtime "litert", got {", ".join(lce_ops)} '
                f'({self._name}). Use runtime "lce".'
            )
        self.num_threads = num_threads
        chosen = "lce" if runtime == "lce" or lce_ops else "litert"
        self.runtime = import_runtime(chosen)
        backend = _LCEBackend if chosen == "lce" else _StockBackend
        try:
            self._backend: _Backend = backend(data, num_threads)
        except (RuntimeError, ValueError) as error:
            raise self._failed("load", error) from error

    def _failed(self, what: str, error: Exception) -> SparseBNNError:
        reason = " ".join(str(error).split())
        # LCE starts with "ERROR at <source file>:<line> :".
        reason = reason.partition(" : ")[2] if reason.startswith("ERROR at ") else reason
        return SparseBNNError(
            f"Expected {self.runtime} to {what} the model, got: {reason.rstrip('.')} "
            f"({self._name})."
        )

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the inputs, batch first."""
        return self._backend.input_shapes

    @property
    def input_types(self) -> list[np.dtype[Any]]:
        """NumPy dtypes of the inputs."""
        return self._backend.input_types

    @property
    def input_scales(self) -> list[Any]:
        """Quantisation scales of the inputs; None for floats."""
        return self._backend.input_scales

    @property
    def input_zero_points(self) -> list[Any]:
        """Quantisation zero points of the inputs; None for floats."""
        return self._backend.input_zero_points

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the outputs, batch first."""
        return self._backend.output_shapes

    @property
    def output_types(self) -> list[np.dtype[Any]]:
        """NumPy dtypes of the outputs."""
        return self._backend.output_types

    @property
    def output_scales(self) -> list[Any]:
        """Quantisation scales of the outputs; None for floats."""
        return self._backend.output_scales

    @property
    def output_zero_points(self) -> list[Any]:
        """Quantisation zero points of the outputs; None for floats."""
        return self._backend.output_zero_points

    def predict(self, x: Array | Sequence[Array], verbose: int = 0) -> Array | list[Array]:
        """Runs the model on every sample.

        Args:
            x: one array, or a list with one per input.
            verbose: 1 counts the samples on stderr.

        Shape:
            `[samples, ...]` -> `[samples, ...]`, a list if the model has several outputs.

        Raises:
            SparseBNNError: an input's number, shape or dtype is not the model's.
        """
        arrays = [x] if isinstance(x, np.ndarray) else list(x)
        samples, batch = self._check(arrays)
        batches = []
        for start in range(0, samples, batch):
            try:
                batches.append(
                    self._backend.invoke([array[start : start + batch] for array in arrays])
                )
            except (RuntimeError, ValueError) as error:
                raise self._failed("run", error) from error
            if verbose:
                print(f"\r{start + batch}/{samples}", end="", file=sys.stderr, flush=True)
        if verbose:
            print(file=sys.stderr)
        if batches:
            outputs = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
        else:
            outputs = [
                np.empty((0, *shape[1:]), dtype)
                for shape, dtype in zip(self.output_shapes, self.output_types, strict=True)
            ]
        return outputs[0] if len(outputs) == 1 else outputs

    def _check(self, arrays: list[Array]) -> tuple[int, int]:
        """`(samples, samples per inference)`."""
        if len(arrays) != len(self.input_shapes):
            raise SparseBNNError(
                f"Expected {len(self.input_shapes)} input array(s), got {len(arrays)} "
                f"({self._name})."
            )
        for index, (array, shape, dtype) in enumerate(
            zip(arrays, self.input_shapes, self.input_types, strict=True)
        ):
            where = f"input {index} of {self._name}"
            got = getattr(array, "shape", None)
            if got is None or len(got) != len(shape) or not shape or got[1:] != shape[1:]:
                expected = ", ".join(map(str, ("samples", *shape[1:])))
                raise SparseBNNError(
                    f"Expected an array of shape [{expected}], got "
                    f"{type(array).__name__ if got is None else list(got)} ({where})."
                )
            if array.dtype != dtype:
                raise SparseBNNError(
                    f"Expected dtype {dtype}, got {array.dtype} ({where}). "
                    f"Use x.astype({str(dtype)!r})."
                )
        batch = max(self.input_shapes[0][0], 1)
        samples = len(arrays[0])
        if any(len(array) != samples for array in arrays) or samples % batch:
            raise SparseBNNError(
                f"Expected the same multiple of {batch} samples in every input, got "
                f"{[len(array) for array in arrays]} ({self._name})."
            )
        return samples, batch
