"""Registers the Keras classes as soon as Keras is there, and not before.

`load_model` finds custom classes by name, so they must be registered; registering imports
TensorFlow, which the light half must not. So: at once if TensorFlow is loaded already, else
right after somebody imports Keras or larq.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["register_with_keras"]


def _register() -> None:
    try:
        importlib.import_module("keras_sparsebnn.layers")
    except ImportError:
        # No usable Keras here; whoever asks for the Keras half is told why.
        return


class _AfterKeras(MetaPathFinder):
    """Finds nothing itself: lets the other finders find Keras and larq, and hooks their end.

    larq imports Keras in its middle, where registering would import a half-made larq: only the
    outermost of these imports registers.
    """

    watched = frozenset({"keras", "tf_keras", "larq"})

    def __init__(self) -> None:
        self.asking = False
        self.executing = 0

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.watched or self.asking:
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
            finally:
                self.executing -= 1
            if self.executing == 0 and self in sys.meta_path:
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
