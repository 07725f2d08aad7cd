"""Oblivious inference: a client learns the class of its image, a server keeps its weights.

`read_program` makes a program of an LCE file; `evaluate` runs its Boolean circuit in the clear,
`and_count` says what it costs, `write_bristol` exports it. The two processes are `server` and
`client`, which need the extra `[oblivious]`. docs/oblivious.md has what each side learns.
"""

from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS
from keras_sparsebnn.oblivious.architecture import Architecture, ObliviousError
from keras_sparsebnn.oblivious.bristol import write_bristol
from keras_sparsebnn.oblivious.cost import and_count, and_counts
from keras_sparsebnn.oblivious.evaluate import evaluate
from keras_sparsebnn.oblivious.program import Program, read_program

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
