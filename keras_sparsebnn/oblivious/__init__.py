"""A network as a Boolean circuit, for inference in which neither side sees the other's data.

`read_program` makes a program of an LCE file; `evaluate` runs its circuit in the clear,
`and_count` says what it costs, and `write_bristol` exports it. `serve` and `Client` are the two
sides that compute it together, with SPU. See docs/oblivious.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_sparsebnn._lazy import named_when_asked

if TYPE_CHECKING:
    from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS
    from keras_sparsebnn.oblivious.architecture import Architecture, ObliviousError
    from keras_sparsebnn.oblivious.bristol import write_bristol
    from keras_sparsebnn.oblivious.cleartext import evaluate
    from keras_sparsebnn.oblivious.client import Client
    from keras_sparsebnn.oblivious.cost import and_count, and_counts
    from keras_sparsebnn.oblivious.program import Program, read_program
    from keras_sparsebnn.oblivious.server import serve

_HOME = {
    "ACCUMULATORS": "accumulators",
    "Architecture": "architecture",
    "Client": "client",
    "ObliviousError": "architecture",
    "Program": "program",
    "and_count": "cost",
    "and_counts": "cost",
    "evaluate": "cleartext",
    "read_program": "program",
    "serve": "server",
    "write_bristol": "bristol",
}

__all__ = [
    "ACCUMULATORS",
    "Architecture",
    "Client",
    "ObliviousError",
    "Program",
    "and_count",
    "and_counts",
    "evaluate",
    "read_program",
    "serve",
    "write_bristol",
]

# Lazy: the names of accumulators take no NumPy.
__getattr__ = named_when_asked(__name__, _HOME)
