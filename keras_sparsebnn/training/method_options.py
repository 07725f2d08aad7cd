"""The methods of a run and the options of each, as data. Imports no TensorFlow.

`quantizers.METHODS` has the classes under the same names; a test holds the two together.
"""

from __future__ import annotations

from keras_sparsebnn.training.rules import (
    BOOLEAN,
    Rule,
    integer,
    number,
    one_of,
    or_none,
    positive,
)

__all__ = ["METHODS", "OPTIONS", "SCHEDULED"]

_SUBSET: dict[str, Rule] = {
    "clip_value": or_none(positive(1e6)),
    "magnitude_scale": BOOLEAN,
}

OPTIONS: dict[str, dict[str, Rule]] = {
    "one_bit": _SUBSET,
    "random": _SUBSET,
    "learned": {
        **_SUBSET,
        "formulation": one_of("partial", "full"),
        "freeze_after": positive(1),
        "initial_selection": one_of("random", "covering"),
        "logit_scale": positive(1e6),
        "matcher": one_of("graph", "scipy"),
        "noise_scale": number(0, 1e6),
        "noise_scale_end": number(0, 1e6),
        "refresh_interval": integer(0, 10**9),
        "sinkhorn_iterations": integer(1, 1000),
        "temperature": positive(1e6),
        "temperature_end": positive(1e6),
    },
}
"""Options by method. `*_end` is reached in a straight line at `freeze_after` (or the end of
training); `freeze_after` is the fraction of training after which nothing is matched."""

METHODS = tuple(sorted(OPTIONS))
"""What `sparsebnn train --method` accepts."""

SCHEDULED = frozenset({"freeze_after", "noise_scale_end", "temperature_end"})
"""Options that training acts on over time; all others are the quantizer's arguments."""
