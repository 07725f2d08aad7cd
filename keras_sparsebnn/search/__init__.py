"""Evolution search: the groups, or the codewords, of each layer, under a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_sparsebnn._lazy import named_when_asked

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

# Lazy: `evolve` takes no TensorFlow.
__getattr__ = named_when_asked(__name__, _HOME)
