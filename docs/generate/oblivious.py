"""The table of docs/oblivious.md: ANDs of one output, as the circuits have them."""

from __future__ import annotations

from docs.generate.pages import Tables, markdown
from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS
from keras_sparsebnn.oblivious.cost import ands_of_count

_TAPS = (72, 288, 576, 1152)


def ands() -> str:
    rows = [
        [f"`{name}`", *(f"{ands_of_count(taps, name):,}" for taps in _TAPS)]
        for name in ACCUMULATORS
    ]
    return markdown(["ANDs of one output", *(f"N = {taps}" for taps in _TAPS)], rows)


TABLES: Tables = {"oblivious_ands": ands}
