"""One interface over the interpreters that can run a `.tflite`."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

from keras_sparsebnn._rules import RUNTIMES, count
from keras_sparsebnn.errors import SparseBNNError, one_line
from keras_sparsebnn.runtime.backend import Array, Backend, TensorInfo
from keras_sparsebnn.runtime.delegate import DelegateOptions, has_delegate, load_library
from keras_sparsebnn.runtime.lce_backend import LCEBackend, import_lce, lce_installed
from keras_sparsebnn.runtime.lce_kernels import needs_reference_kernel
from keras_sparsebnn.runtime.model_file import custom_ops, load
from keras_sparsebnn.runtime.per_process import PerProcessBackend
from keras_sparsebnn.runtime.stock_backend import StockBackend, import_stock, stock_installed

__all__ = ["RUNTIMES", "Interpreter", "choose_runtime", "import_runtime"]

MAX_THREADS = 256

Sample = Array | Sequence[Array]
"""One sample of one input, or of each."""

_LIBRARY_ERRORS = (
    *(ArithmeticError, AttributeError, BufferError, LookupError, MemoryError),
    *(RuntimeError, SystemError, TypeError, ValueError),
)
"""What the interpreters' libraries raise on models and memory that they cannot deal with."""

LCE_PREFIX = "Lce"
SUBBIT_PREFIX = "Sparsebnn"


def choose_runtime(runtime: str, ops: Sequence[str], name: str = "bytes") -> str:
    """The runtime for a model: "delegate", "lce" or "litert".

    Args:
        runtime: one of `RUNTIMES`.
        ops: the model's custom ops, as `custom_ops` returns them.
        name: what to call the model in messages.

    Raises:
        SparseBNNError: `runtime` is not in `RUNTIMES`, or does not know the ops.
    """
    if runtime not in RUNTIMES:
        raise SparseBNNError(f"Expected `runtime` to be one of {RUNTIMES}, got {runtime!r}.")
    subbit = [op for op in ops if op.startswith(SUBBIT_PREFIX)]
    binary = [op for op in ops if op.startswith(LCE_PREFIX)] + subbit
    if runtime == "litert" and binary:
        raise SparseBNNError(
            f'Expected stock TFLite ops for runtime "litert", got {", ".join(binary)} '
            f'({name}). Use runtime "delegate".'
        )
    if runtime == "lce" and subbit:
        raise SparseBNNError(
            f'Expected LCE\'s own ops for runtime "lce", got {", ".join(subbit)} ({name}). Use '
            'runtime "delegate", or expand the file with keras_sparsebnn.converters.'
        )
    if runtime != "auto":
        return runtime
    if not binary:
        return "litert"
    if not subbit and lce_installed() and not (stock_installed() and has_delegate()):
        return "lce"
    return "delegate"


def import_runtime(runtime: str) -> str:
    """Imports the library behind "delegate", "lce" or "litert"; returns its name."""
    if runtime == "lce":
        import_lce()
        return "lce"
    name = import_stock()[0]
    if runtime != "delegate":
        return name
    load_library()
    return f"delegate on {name}"


class Interpreter:
    """Runs a `.tflite`: stock, with LCE's ops, or sub-bit. The interface is LCE's.

    Args:
        model: the path of a `.tflite`, or its bytes.
        num_threads: threads of one inference, 1 to 256.
        runtime: "delegate" is stock TFLite (ai-edge-litert, tflite-runtime or tf.lite, the
            first that is installed) with the native delegate, "litert" the same without it,
            "lce" LCE's own interpreter, with its slow reference kernel where the fast one
            computes wrong values (zero padding on small maps) or has none (groups). "auto"
            takes "litert" for files without binary ops and "delegate" for others, unless only
            LCE's interpreter is installed.
        kernel: pins the delegate's convolution kernel, "xnor", "codebook" or "reference";
            "auto" chooses the faster one per layer.
        isa: pins the delegate's instruction set, "scalar", "avx2", "avx512" or "neon".
        profile: whether the delegate measures the time of every node, for `profile()`.
        glue: whether the delegate also runs the float elementwise ops (additions, PReLU, ...)
            and max pools that lie beside binary ones, in the same pass where it can;
            the results are the same.
        stem: whether the delegate also runs float convolutions of at most four input channels,
            as networks begin with, and with `glue` average pools of 2x2 and float convolutions
            of 1x1, as shortcuts have; the results are XNNPACK's.

    Not thread-safe: one interpreter per thread. A forked process may go on with its copy.

    Attributes:
        inputs: a `TensorInfo` per input.
        outputs: a `TensorInfo` per output.
        runtime: what runs the model, e.g. "delegate on litert" or "lce, reference kernel".
        num_threads: as given.

    Raises:
        SparseBNNError: no suitable runtime is installed, an option is wrong, the file is
            damaged or has ops that the runtime does not know.
        OSError: the file cannot be read.

    Example:
        >>> interpreter = Interpreter("model.tflite")           # doctest: +SKIP
        >>> logits = interpreter.predict(images)                # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        *,
        num_threads: int = 1,
        runtime: str = "auto",
        kernel: str = "auto",
        isa: str = "auto",
        profile: bool = False,
        glue: bool = True,
        stem: bool = True,
    ) -> None:
        num_threads = count("num_threads", num_threads, MAX_THREADS)
        options = DelegateOptions(num_threads, kernel, isa, profile, glue, stem)
        file, self._name = load(model)
        ops = custom_ops(file)
        chosen = choose_runtime(runtime, ops, self._name)
        if chosen != "delegate" and options != DelegateOptions(num_threads):
            raise SparseBNNError(
                "Expected `kernel`, `isa`, `profile`, `glue` and `stem` to be left alone, "
                f'because "{chosen}" runs the model, got {kernel!r}, {isa!r}, {profile}, '
                f"{glue} and {stem} ({self._name})."
            )
        self.num_threads = num_threads
        self.runtime = import_runtime(chosen)

        def make() -> Backend:
            if chosen == "lce":
                return LCEBackend(file, num_threads)
            return StockBackend(file, num_threads, options if chosen == "delegate" else None)

        try:
            self._backend = PerProcessBackend(make)
        except SparseBNNError as error:
            raise SparseBNNError(f"{str(error).removesuffix('.')} ({self._name}).") from error
        except _LIBRARY_ERRORS as error:
            unknown = [op for op in ops if not op.startswith((LCE_PREFIX, SUBBIT_PREFIX))]
            if "custom op" in str(error) and unknown:
                raise SparseBNNError(
                    f"Expected TFLite's, LCE's or sub-bit ops, got {', '.join(unknown)} "
                    f"({self._name}). {self.runtime} has no kernels for them: run the model in "
                    "the TFLite it was made for."
                ) from error
            raise self._failed("load", error) from error
        if chosen == "lce" and needs_reference_kernel(file):
            self.runtime = "lce, reference kernel"
        self.inputs: list[TensorInfo] = self._backend.inputs
        self.outputs: list[TensorInfo] = self._backend.outputs

    def _failed(self, what: str, error: Exception) -> SparseBNNError:
        reason = one_line(error)
        if isinstance(error, MemoryError):
            reason = f"not enough memory ({reason})"
        # LCE starts with "ERROR at <source file>:<line> :".
        reason = reason.partition(" : ")[2] if reason.startswith("ERROR at ") else reason
        return SparseBNNError(
            f"Expected {self.runtime} to {what} the model, got: {reason.rstrip('.')} "
            f"({self._name})."
        )

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the inputs, batch first."""
        return [tensor.shape for tensor in self.inputs]

    @property
    def input_types(self) -> list[np.dtype[Any]]:
        """NumPy dtypes of the inputs."""
        return [tensor.dtype for tensor in self.inputs]

    @property
    def input_scales(self) -> list[float | list[float] | None]:
        """Quantisation scales of the inputs; None for floats."""
        return [tensor.scale for tensor in self.inputs]

    @property
    def input_zero_points(self) -> list[int | None]:
        """Zero points of the inputs; None for floats."""
        return [tensor.zero_point for tensor in self.inputs]

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the outputs, batch first."""
        return [tensor.shape for tensor in self.outputs]

    @property
    def output_types(self) -> list[np.dtype[Any]]:
        """NumPy dtypes of the outputs."""
        return [tensor.dtype for tensor in self.outputs]

    @property
    def output_scales(self) -> list[float | list[float] | None]:
        """Quantisation scales of the outputs; None for floats."""
        return [tensor.scale for tensor in self.outputs]

    @property
    def output_zero_points(self) -> list[int | None]:
        """Zero points of the outputs; None for floats."""
        return [tensor.zero_point for tensor in self.outputs]

    def profile(self) -> list[dict[str, Any]]:
        """What the delegate ran and how long it took, all runs so far.

        Returns:
            For every node "node" (its index), "op", "input" and "output" (shapes), "kernel",
            "runs" and "ns" (of all runs together).

        Raises:
            SparseBNNError: the interpreter was not made with `profile=True`.
        """
        text = self._backend.profile_json()
        if text is None:
            raise SparseBNNError(
                f"Expected an interpreter made with profile=True, got one without "
                f"({self._name})."
            )
        return [node for part in json.loads(text)["partitions"] for node in part["nodes"]]

    @overload
    def predict(self, x: Mapping[str, Array], verbose: int = 0) -> dict[str, Array]: ...

    @overload
    def predict(
        self, x: Array | Sequence[Array] | Iterator[Sample], verbose: int = 0
    ) -> Array | list[Array]: ...

    def predict(
        self,
        x: Array | Sequence[Array] | Mapping[str, Array] | Iterator[Sample],
        verbose: int = 0,
    ) -> Array | list[Array] | dict[str, Array]:
        """Runs the model on every sample.

        Args:
            x: one array, a list with one per input, or a mapping from the inputs' names; or an
                iterator of samples, each an array without the batch dimension or a list with
                one per input, of which no more are taken at a time than the model runs at
                once. A model without inputs runs once.
            verbose: 1 counts the samples on stderr.

        Shape:
            `[samples, ...]` -> `[samples, ...]`, a list if the model has several outputs, a
            mapping from the outputs' names if `x` is a mapping.

        Raises:
            SparseBNNError: an input's number, name, shape or dtype is not the model's.
        """
        if isinstance(x, Iterator):
            total, batches = "", self._gathered(x)
        else:
            arrays = self._in_order(x) if isinstance(x, Mapping) else _as_list(x)
            samples = self._check(arrays)
            total, batches = f"/{samples}", self._sliced(arrays, samples)
        done = 0
        results = []
        for batch in batches:
            try:
                results.append(self._backend.invoke(batch))
            except _LIBRARY_ERRORS as error:
                raise self._failed("run", error) from error
            done += self._batch
            if verbose:
                print(f"\r{done}{total}", end="", file=sys.stderr, flush=True)
        if verbose:
            print(file=sys.stderr)
        if results:
            # A number that has no samples' axis, as RANK's, is one.
            columns = (map(np.atleast_1d, parts) for parts in zip(*results, strict=True))
            outputs = [np.concatenate([*parts]) for parts in columns]
        else:
            outputs = [np.empty((0, *t.shape[1:]), t.dtype) for t in self.outputs]
        if isinstance(x, Mapping):
            return {t.name: value for t, value in zip(self.outputs, outputs, strict=True)}
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def _batch(self) -> int:
        """Samples of one inference."""
        return max(self.inputs[0].shape[0], 1) if self.inputs and self.inputs[0].shape else 1

    def _sliced(self, arrays: list[Array], samples: int) -> Iterator[list[Array]]:
        for start in range(0, samples, self._batch):
            yield [array[start : start + self._batch] for array in arrays]

    def _gathered(self, samples: Iterator[Sample]) -> Iterator[list[Array]]:
        """Samples put together to batches, as they come."""
        while taken := list(itertools.islice(samples, self._batch)):
            columns = [_as_list(sample) for sample in taken]
            try:
                arrays = [np.stack(column) for column in zip(*columns, strict=True)]
            except ValueError as error:
                raise SparseBNNError(
                    f"Expected samples of the same shapes, got some that differ ({self._name})."
                ) from error
            self._check(arrays)
            yield arrays

    def _in_order(self, x: Mapping[str, Array]) -> list[Array]:
        names = [tensor.name for tensor in self.inputs]
        if sorted(x) != sorted(names):
            raise SparseBNNError(
                f"Expected the inputs {', '.join(names)}, got {', '.join(map(str, x))} "
                f"({self._name})."
            )
        return [x[name] for name in names]

    def _check(self, arrays: list[Array]) -> int:
        """How many samples there are; a model without inputs runs once."""
        if len(arrays) != len(self.inputs):
            raise SparseBNNError(
                f"Expected {len(self.inputs)} input array(s), got {len(arrays)} ({self._name})."
            )
        for index, (array, tensor) in enumerate(zip(arrays, self.inputs, strict=True)):
            where = f"input {index} of {self._name}"
            shape = tensor.shape
            got = getattr(array, "shape", None)
            if got is None or len(got) != len(shape) or not shape or got[1:] != shape[1:]:
                expected = ", ".join(map(str, ("samples", *shape[1:])))
                raise SparseBNNError(
                    f"Expected an array of shape [{expected}], got "
                    f"{type(array).__name__ if got is None else list(got)} ({where})."
                )
            if array.dtype != tensor.dtype:
                raise SparseBNNError(
                    f"Expected dtype {tensor.dtype}, got {array.dtype} ({where}). "
                    f"Use x.astype({str(tensor.dtype)!r})."
                )
        batch = self._batch
        samples = len(arrays[0]) if arrays else batch
        if any(len(array) != samples for array in arrays) or samples % batch:
            raise SparseBNNError(
                f"Expected the same multiple of {batch} samples in every input, got "
                f"{[len(array) for array in arrays]} ({self._name})."
            )
        return samples


def _as_list(x: Sample) -> list[Array]:
    if isinstance(x, np.ndarray):
        return [x]
    if not isinstance(x, Iterable):
        raise SparseBNNError(f"Expected an array or several, got {x!r:.60}.")
    return list(x)
