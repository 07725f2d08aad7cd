"""The methods of a run and the options of each, as data. Imports no TensorFlow.

`quantizers.METHODS` has the classes under the same names; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_sparsebnn.training.settings.rules import (
    BOOLEAN,
    Rule,
    integer,
    is_number,
    number,
    one_of,
    or_none,
    positive,
)

__all__ = ["METHODS", "OPTIONS", "SCHEDULED", "choose_after", "settle_after"]

_SUBSET: dict[str, Rule] = {
    "clip_value": or_none(positive(1e6)),
    "gradient": one_of("clip", "approx", "ede"),
    "magnitude_scale": BOOLEAN,
    "standardize": BOOLEAN,
}

# Of methods that may start as 1-bit networks.
_STAGED: dict[str, Rule] = {
    **_SUBSET,
    "choose_after": (
        "a number in (0, 1)",
        lambda v: is_number(v) and 0 < v < 1,
    ),
    "starts_as": one_of("sign", "float"),
}

OPTIONS: dict[str, dict[str, Rule]] = {
    "facility_location": _STAGED,
    "frequent": _STAGED,
    "incremental": {**_STAGED, "settle_after": positive(1)},
    "one_bit": _SUBSET,
    "product_quantization": _STAGED,
    "random": _STAGED,
    "snn": {
        **_STAGED,
        "pattern_scale": positive(3),
        "refinement_interval": integer(0, 10**9),
    },
    "learned": {
        **_STAGED,
        "formulation": one_of("partial", "full"),
        "freeze_after": positive(1),
        "initial_selection": one_of("random", "covering", "facility_location"),
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
training); `freeze_after` is the fraction of training after which nothing is matched. Until the
fraction `choose_after`, layers are in the stage `starts_as`, plain 1-bit when nothing is said;
then they enter the stage "codewords". `settle_after` is the share of the training after that by
which all kernels are codewords."""

_CHOOSE_AFTER = {
    "facility_location": 0.3,
    "frequent": 0.3,
    "incremental": 0.2,
    "product_quantization": 0.3,
}
_SETTLE_AFTER = {"incremental": 0.5}

METHODS = tuple(sorted(OPTIONS))
"""What `sparsebnn train --method` accepts."""

SCHEDULED = frozenset(
    {"choose_after", "freeze_after", "noise_scale_end", "settle_after", "temperature_end"}
)
"""Options that training acts on over time; all others are the quantizer's arguments."""


def choose_after(method: str, options: Mapping[str, Any]) -> float | None:
    """The fraction of training at which kernels are restricted; None: from the start.

    Example:
        >>> choose_after("facility_location", {}), choose_after("learned", {})
        (0.3, None)
    """
    fraction: float | None = options.get("choose_after", _CHOOSE_AFTER.get(method))
    return fraction


def settle_after(method: str, options: Mapping[str, Any]) -> float | None:
    """The share of the training after `choose_after` that ends with codewords only.

    None: the method restricts all kernels at once.

    Example:
        >>> settle_after("incremental", {}), settle_after("facility_location", {})
        (0.5, None)
    """
    fraction: float | None = options.get("settle_after", _SETTLE_AFTER.get(method))
    return fraction
