"""A network as a Boolean circuit, for protocols in which neither side sees the other's data.

`read_program` makes a program of an LCE file; `evaluate` runs its circuit in the clear,
`and_count` says what it costs, and `write_bristol` exports it for such a protocol. See
docs/oblivious.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_sparsebnn._lazy import named_when_asked

if TYPE_CHECKING:
    from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS
    from keras_sparsebnn.oblivious.architecture import Architecture, ObliviousError
    from keras_sparsebnn.oblivious.bristol import write_bristol
    from keras_sparsebnn.oblivious.cleartext import evaluate
    from keras_sparsebnn.oblivious.cost import and_count, and_counts
    from keras_sparsebnn.oblivious.program import Program, read_program

_HOME = {
    "ACCUMULATORS": "accumulators",
    "Architecture": "architecture",
    "ObliviousError": "architecture",
    "Program": "program",
    "and_count": "cost",
    "and_counts": "cost",
    "evaluate": "cleartext",
    "read_program": "program",
    "write_bristol": "bristol",
}

__all__ = [
    "ACCUMULATORS",
    "Architecture",
    "ObliviousError",
    "Program",
    "and_count",
    "and_counts",
    "evaluate",
    "read_program",
    "write_bristol",
]

# Lazy: the names of accumulators take no NumPy.
__getattr__ = named_when_asked(__name__, _HOME)
