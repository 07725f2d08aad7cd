"""Packages whose names are imported when somebody asks for them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

__all__ = ["named_when_asked"]


def named_when_asked(package: str, home: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package.

    Args:
        package: its `__name__`.
        home: from public names to the modules that have them, below the package.
    """

    def find(name: str) -> object:
        if name in home:
            return getattr(importlib.import_module(f"{package}.{home[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
