"""LCE's own interpreter: TFLite with LCE's custom ops built in."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime.backend import Array, Backend, TensorInfo
from keras_sparsebnn.runtime.lce_checks import check_lce_operators
from keras_sparsebnn.runtime.lce_kernels import needs_reference_kernel
from keras_sparsebnn.runtime.model_file import tensor_names
from keras_sparsebnn.tflite_file import Model

__all__ = ["LCEBackend", "import_lce", "lce_installed"]

_LIBRARY = "larq_compute_engine.tflite.python.interpreter_wrapper_lite"


def _find() -> importlib.machinery.ModuleSpec | None:
    package = importlib.util.find_spec("larq_compute_engine")
    folders = package.submodule_search_locations if package is not None else None
    return importlib.machinery.PathFinder.find_spec(
        _LIBRARY, [str(Path(folder, "tflite", "python")) for folder in folders or ()]
    )


def lce_installed() -> bool:
    """Whether `import_lce` will find something."""
    return _LIBRARY in sys.modules or _find() is not None


def import_lce() -> ModuleType:
    """LCE's interpreter library, without the package around it.

    `larq_compute_engine/__init__.py` imports the converter and so TensorFlow; the library
    itself needs NumPy only and loads in milliseconds. It goes into `sys.modules` under its
    own name, because it cannot be initialised twice.

    Raises:
        SparseBNNError: larq-compute-engine is not installed.
    """
    loaded = sys.modules.get(_LIBRARY)
    if loaded is not None:
        return loaded
    spec = _find()
    if spec is None or spec.loader is None:
        raise SparseBNNError(
            'Expected larq-compute-engine to be installed (runtime "lce"), found none. '
            "Run: pip install 'keras-sparsebnn[convert]'"
        )
    library = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)
    sys.modules[_LIBRARY] = library
    return library


class LCEBackend(Backend):
    """LCE's own interpreter, which has no optimised kernels on x86.

    A model that LCE's fast kernel gets wrong, or cannot run, has the slow reference kernel.
    """

    def __init__(self, model: Model, num_threads: int) -> None:
        check_lce_operators(model)
        self._data = model.flat  # the library does not copy it
        # Indirect BGEMM off, XNNPACK off: LCE's defaults.
        self._interpreter = import_lce().LiteInterpreter(
            self._data, num_threads, needs_reference_kernel(model), False, False
        )
        self.inputs, self.outputs = (
            [
                TensorInfo(name, tuple(shape), dtype, scale, zero_point)
                for name, shape, dtype, scale, zero_point in zip(
                    names,
                    *(
                        getattr(self._interpreter, f"{side}_{field}")
                        for field in ("shapes", "types", "scales", "zero_points")
                    ),
                    strict=True,
                )
            ]
            for side, names in zip(("input", "output"), tensor_names(model), strict=True)
        )

    def invoke(self, inputs: list[Array]) -> list[Array]:
        outputs: list[Array] = self._interpreter.predict(inputs)
        return outputs
