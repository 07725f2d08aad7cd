"""Registers the Keras classes as soon as Keras is loaded, and not before.

`load_model` finds custom classes by name, so they must be registered; registering imports
TensorFlow, which the light half must not. So: at once if TensorFlow is loaded already, else
right after somebody imports Keras or larq.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

TYPE_CHECKING = False  # `typing` and `importlib.abc` take longer than all the rest of this
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["register_with_keras"]


def _register() -> None:
    try:
        importlib.import_module("keras_sparsebnn.layers")
        quantizers = importlib.import_module("keras_sparsebnn.quantizers")
        # Loads the classes of all methods; layers load the other quantizers.
        _ = quantizers.METHODS
        importlib.import_module("keras_sparsebnn.quantizers.larq_mends")
        importlib.import_module("keras_sparsebnn.training.keras")
    except ImportError:
        # No usable Keras here; whoever asks for the Keras half is told why.
        return


class _AfterKeras:
    """Lets the other finders find a module, and registers after its import has ended.

    larq imports Keras, and modules of this package import both. Registering inside such an
    import would import modules that are only half executed, so registering waits for the end
    of the outermost of these imports that loads Keras.
    """

    watched = frozenset({"keras", "tf_keras", "larq"})
    own = __name__.rpartition(".")[0] + "."

    def __init__(self) -> None:
        self.asking = False
        self.executing = 0
        self.has_keras = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        is_keras = fullname in self.watched
        if self.asking or not (is_keras or fullname.startswith(self.own)):
            return None
        self.asking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self.asking = False
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            self.executing += 1
            try:
                execute(module)
                self.has_keras |= is_keras
            finally:
                self.executing -= 1
            if self.executing == 0 and self.has_keras and self in sys.meta_path:
                sys.meta_path.remove(self)
                _register()

        # Of this one loader object; the class stays as it is.
        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def register_with_keras() -> None:
    """Registers now if TensorFlow is loaded, otherwise when Keras or larq is."""
    if "tensorflow" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterKeras())
