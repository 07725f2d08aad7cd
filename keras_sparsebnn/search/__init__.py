"""Evolution search: the groups, or the codewords, of each layer, under a budget."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_sparsebnn.search.budget import Budget
    from keras_sparsebnn.search.evolution import Candidate, evolve, front
    from keras_sparsebnn.search.run import search
    from keras_sparsebnn.search.settings import SearchConfig
    from keras_sparsebnn.search.supernet import Evaluator, Supernet, export

_HOME = {
    "Budget": "budget",
    "Candidate": "evolution",
    "Evaluator": "supernet",
    "SearchConfig": "settings",
    "Supernet": "supernet",
    "evolve": "evolution",
    "export": "supernet",
    "front": "evolution",
    "search": "run",
}

__all__ = [
    "Budget",
    "Candidate",
    "Evaluator",
    "SearchConfig",
    "Supernet",
    "evolve",
    "export",
    "front",
    "search",
]


def __getattr__(name: str) -> Any:
    # Lazy: `evolve` takes no TensorFlow.
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
