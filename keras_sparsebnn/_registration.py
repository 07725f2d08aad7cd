"""Registers the Keras classes as soon as TensorFlow is there, and not before.

`load_model` finds custom classes by name, so they must be registered; registering imports
TensorFlow, which the light half must not. So: at once if TensorFlow is loaded already, else
right after somebody imports it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["register_with_tensorflow"]


def _register() -> None:
    try:
        importlib.import_module("keras_sparsebnn.layers")
    except ImportError:
        # No usable Keras here; whoever asks for the Keras half is told why.
        return


class _AfterTensorFlow(MetaPathFinder):
    """Finds nothing itself: lets the other finders find TensorFlow, and hooks its end."""

    asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow" or self.asking:
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
            # Only now: a spec may be asked for without importing anything.
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            execute(module)
            _register()

        # Of this one loader object; the class stays as it is.
        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def register_with_tensorflow() -> None:
    """Registers now if TensorFlow is loaded, otherwise when it is."""
    if "tensorflow" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterTensorFlow())
