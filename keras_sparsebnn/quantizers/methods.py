"""The one table of methods: names, classes, options with their rules and defaults.

A method determines the codewords of a layer. Quantizers, `RunConfig`, recipes and the command
line all read this table, so it imports no TensorFlow. To add a method, write
`quantizers/<alias>.py`, whose class is decorated with `register_quantizer`, and add its line
here; the decorator checks that the two agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_sparsebnn._rules import (
    BOOLEAN,
    Rule,
    check,
    integer,
    number,
    one_of,
    or_none,
    positive,
    strictly_between,
)
from keras_sparsebnn.errors import SparseBNNError

__all__ = [
    "METHODS",
    "OPTIONS",
    "SCHEDULED",
    "Method",
    "Option",
    "check_argument",
    "check_logits",
    "choose_after",
    "logits_of",
    "settle_after",
    "starts_as",
]


@dataclass(frozen=True)
class Option:
    """One option of a method.

    Attributes:
        rule: which values are valid, in words and as a test.
        default: its value where nothing is given.
        scheduled: training acts on it over time; if not, the quantizer's constructor takes it.
        logits: the form of logits that it is for; None: for every one.
    """

    rule: Rule
    default: object
    scheduled: bool = False
    logits: str | None = None


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        name: what `sparsebnn train --method` and `RunConfig.method` call it.
        quantizer: its class in `keras_sparsebnn.quantizers`.
        options: by name; see `Option`.
    """

    name: str
    quantizer: str
    options: Mapping[str, Option] = field(default_factory=dict)

    @property
    def alias(self) -> str:
        """What `kernel_quantizer="..."` calls it: the class in snake case, as its file.

        Example:
            >>> METHODS["learned"].alias, METHODS["random"].alias, METHODS["snn"].alias
            ('sparse_kernel', 'fixed_subset', 'snn')
        """
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.quantizer).lower()


_SUBSET = {
    "clip_value": Option(or_none(positive(1e6)), 1.0),
    "gradient": Option(one_of("clip", "approx", "ede"), "clip"),
    "magnitude_scale": Option(BOOLEAN, False),
    "standardize": Option(BOOLEAN, False),
}


def _staged(choose_after: float | None = None) -> dict[str, Option]:
    """Options of a method that can start as a 1-bit or float network."""
    return {
        **_SUBSET,
        "choose_after": Option(or_none(strictly_between(0, 1)), choose_after, scheduled=True),
        "starts_as": Option(one_of("sign", "float"), "sign", scheduled=True),
    }


def _of(logits: str, rule: Rule, default: object, *, scheduled: bool = False) -> Option:
    return Option(rule, default, scheduled, logits)


_LEARNED = {
    "logits": Option(one_of("structured", "free"), "structured"),
    "initial_selection": Option(
        or_none(one_of("random", "covering", "facility_location")), None
    ),
    "freeze_after": Option(or_none(positive(1)), None, scheduled=True),
    "refresh_interval": Option(or_none(integer(0, 10**9)), None),
    "travel": _of("structured", or_none(number(0, 1e6)), None),
    "margin": _of("structured", number(0, 1e6), 0.1),
    "formulation": _of("free", one_of("partial", "full"), "partial"),
    "logit_scale": _of("free", positive(1e6), 5.0),
    "matcher": _of("free", one_of("graph", "scipy"), "graph"),
    "noise_scale": _of("free", number(0, 1e6), 0.0),
    "noise_scale_end": _of("free", number(0, 1e6), None, scheduled=True),
    "sinkhorn_iterations": _of("free", integer(1, 1000), 10),
    "temperature": _of("free", positive(1e6), 5.0),
    "temperature_end": _of("free", positive(1e6), None, scheduled=True),
}
_SNN = {
    "pattern_scale": Option(positive(3), 1.0),
    "refinement_interval": Option(integer(0, 10**9), 25),
}
_RBONN = {
    "clip_value": Option(or_none(positive(1e6)), None),
    "bilinear": Option(number(0, 1e3), 1e-4),
    "backtrack": Option(number(0, 1e3), 0.2),
    "density": Option(number(0, 1), 0.6),
    "backtrack_of": Option(one_of("weights", "gradient"), "weights"),
    "magnitude": Option(positive(1e3), 0.02),
}
_SETTLE = {"settle_after": Option(positive(1), 0.5, scheduled=True)}

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("facility_location", "FacilityLocation", _staged(0.3)),
        Method("frequent", "Frequent", _staged(0.3)),
        Method("incremental", "Incremental", {**_staged(0.2), **_SETTLE}),
        Method("learned", "SparseKernel", {**_staged(0.3), **_LEARNED}),
        Method("one_bit", "OneBit", _SUBSET),
        Method("product_quantization", "ProductQuantization", _staged(0.3)),
        Method("random", "FixedSubset", _staged()),
        Method("rbonn", "RBONN", {**_staged(), **_RBONN}),
        Method("snn", "SNN", {**_staged(), **_SNN}),
    )
}
"""Methods by name.

Scheduled options: `*_end` is reached in a straight line at `freeze_after` (or the end of
training); `freeze_after` is the fraction of training after which nothing is matched. Where it
is not given, structured logits move for half of the training with codewords, free ones to its
end. Until the fraction `choose_after`, layers are in the stage `starts_as`; then they enter the
stage "codewords". `settle_after` is the share of the remaining training by the end of which all
kernels are codewords."""

OPTIONS: dict[str, Mapping[str, Option]] = {
    name: method.options for name, method in METHODS.items()
}
"""Options by method."""

_EVERY = {name: option for options in OPTIONS.values() for name, option in options.items()}

SCHEDULED = frozenset(name for name, option in _EVERY.items() if option.scheduled)
"""Options that training acts on over time; all others are the quantizer's arguments."""


def check_argument(name: str, value: Any) -> None:
    """Checks a quantizer's argument by the rule of the option with its name.

    Raises:
        SparseBNNError: the value breaks the rule.

    Example:
        >>> check_argument("gradient", "clip")
    """
    plain = value.item() if hasattr(value, "item") else value  # NumPy's numbers are fine
    check(name, plain, _EVERY[name].rule)


def logits_of(options: Mapping[str, Any]) -> str:
    """The form of logits of the method "learned": "structured" or "free"."""
    return str(options.get("logits", OPTIONS["learned"]["logits"].default))


def check_logits(options: Mapping[str, Any]) -> None:
    """Checks that no option of the method "learned" is for the other form of logits.

    Raises:
        SparseBNNError: one is, and it is not at its default.

    Example:
        >>> check_logits({"logits": "free", "temperature": 1.0})
    """
    known = OPTIONS["learned"]
    logits = logits_of(options)
    for name, value in options.items():
        option = known.get(name)
        if option is None or option.logits in (None, logits) or value == option.default:
            continue
        raise SparseBNNError(
            f'Expected `{name}` with logits="{option.logits}" only, got {value!r:.60} with '
            f'logits="{logits}". Set logits, too.'
        )


def _fraction(name: str, method: str, options: Mapping[str, Any]) -> float | None:
    option = OPTIONS[method].get(name)
    value = options.get(name, option.default if option else None)
    return None if value is None else float(value)


def choose_after(method: str, options: Mapping[str, Any]) -> float | None:
    """The fraction of training at which kernels are restricted; None: from the start.

    Codewords that need no trained kernels are there from the start, unless the options say
    when.

    Example:
        >>> choose_after("learned", {})
        0.3
        >>> choose_after("learned", {"initial_selection": "random"}) is None
        True
    """
    if options.get("initial_selection") in ("random", "covering"):
        options = {"choose_after": None, **options}
    return _fraction("choose_after", method, options)


def starts_as(method: str, options: Mapping[str, Any]) -> str:
    """The stage up to `choose_after`.

    Example:
        >>> starts_as("frequent", {}), starts_as("frequent", {"starts_as": "float"})
        ('sign', 'float')
    """
    return str(options.get("starts_as", OPTIONS[method]["starts_as"].default))


def settle_after(method: str, options: Mapping[str, Any]) -> float | None:
    """The share of the training after `choose_after` that ends with codewords only.

    None: the method restricts all kernels at once.

    Example:
        >>> settle_after("incremental", {}), settle_after("facility_location", {})
        (0.5, None)
    """
    return _fraction("settle_after", method, options)
