"""Interpreters in forked processes: `multiprocessing`, and servers that fork their workers.

A fork copies an interpreter but none of its threads: in the child a run waits forever for a
thread that does not exist, and so does the interpreter's destructor. The delegate starts new
threads in the child; the interpreters around it, at least LCE's, do not.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable

from keras_sparsebnn.runtime.backend import Array, Backend

__all__ = ["PerProcessBackend"]


class PerProcessBackend(Backend):
    """A backend that every forked child makes anew when it first runs a model.

    Args:
        make: makes the backend.
    """

    def __init__(self, make: Callable[[], Backend]) -> None:
        self._make = make
        self._own: Backend | None = make()
        self.inputs, self.outputs = self._own.inputs, self._own.outputs
        _alive.add(self)

    def invoke(self, inputs: list[Array]) -> list[Array]:
        return self._backend().invoke(inputs)

    def profile_json(self) -> str | None:
        return self._backend().profile_json()

    def _backend(self) -> Backend:
        if self._own is None:
            self._own = self._make()
        return self._own

    def leave_to_parent(self) -> None:
        """Called in a new child, which must neither use nor destroy the parent's backend."""
        if self._own is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._own))
            self._own = None


_alive: weakref.WeakSet[PerProcessBackend] = weakref.WeakSet()


def _leave_all_to_parent() -> None:
    for backend in _alive:
        backend.leave_to_parent()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_leave_all_to_parent)
