"""Rules for values from files, command lines and callers; lists of what an option may be.

Here are the lists that the command line shows and a room that loads NumPy or TensorFlow
checks; this module imports neither. A list of one room's is in that room: `data.options`,
`training.settings.choices`, `quantizers.methods`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, TypeGuard

from keras_sparsebnn.errors import SparseBNNError

__all__ = [
    "BOOLEAN",
    "CANDIDATES",
    "CODEWORDS",
    "FORMATS",
    "GROUPS",
    "INT8_LAYERS",
    "INTERFACE_TYPES",
    "RUNTIMES",
    "SEARCHED",
    "TARGETS",
    "WEIGHTS",
    "Rule",
    "check",
    "count",
    "integer",
    "is_codewords",
    "is_int",
    "is_number",
    "number",
    "one_of",
    "or_none",
    "positive",
    "strictly_between",
    "text",
]

RUNTIMES = ("auto", "delegate", "lce", "litert")
"""What `runtime.Interpreter` can run a model in."""

FORMATS = ("lce", "subbit")
"""How a converted file stores binary filters."""

WEIGHTS = ("float", "int8")
"""How a converted file stores the weights of other layers."""

INT8_LAYERS = ("stem", "shortcuts", "classifier")
"""Float layers of a converted file that may compute in int8."""

INTERFACE_TYPES = ("float32", "int8")
"""Types of a converted file's inputs and outputs."""

TARGETS = ("arm", "xcore")
"""LCE's processors."""

Rule = tuple[str, Callable[[Any], bool]]
"""What is expected, in words, and a function that tests for it."""


def check(name: str, value: object, rule: Rule) -> None:
    """Raises a `SparseBNNError` unless `value` obeys `rule`."""
    expected, holds = rule
    if not holds(value):
        raise SparseBNNError(f"Expected `{name}` to be {expected}, got {value!r:.60}.")


def count(name: str, value: object, most: int) -> int:
    """`value` as a number from 1 to `most`; it may be an integer of NumPy's.

    Raises:
        SparseBNNError: it is something else.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if not 1 <= number <= most:
        raise SparseBNNError(f"Expected `{name}` to be in [1, {most}], got {value!r:.60}.")
    return number


def is_int(value: object) -> TypeGuard[int]:
    """Whether `value` is an integer and not a boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether `value` is a finite number and not a boolean."""
    return (is_int(value) or isinstance(value, float)) and math.isfinite(value)


def is_codewords(value: object, size: int = 512) -> TypeGuard[int]:
    """Whether `value` can be a layer's n: a power of two in [2, size]."""
    return is_int(value) and 2 <= value <= size and value & (value - 1) == 0


def one_of(*names: str) -> Rule:
    """One of some texts."""
    return f"one of {', '.join(names)}", lambda v: isinstance(v, str) and v in names


def integer(low: int, high: int) -> Rule:
    """An integer, both ends included."""
    return f"an integer in [{low}, {high}]", lambda v: is_int(v) and low <= v <= high


def number(low: float, high: float) -> Rule:
    """A finite number, both ends included."""
    return f"a number in [{low:g}, {high:g}]", lambda v: is_number(v) and low <= v <= high


def positive(high: float) -> Rule:
    """A finite number above 0."""
    return f"a number in (0, {high:g}]", lambda v: is_number(v) and 0 < v <= high


def strictly_between(low: float, high: float) -> Rule:
    """A finite number, both ends excluded."""
    return f"a number in ({low:g}, {high:g})", lambda v: is_number(v) and low < v < high


def text(length: int) -> Rule:
    """A text that fits a file name or a message."""
    return f"a text of 1 to {length} characters", (
        lambda v: isinstance(v, str) and 0 < len(v) <= length and "\0" not in v
    )


def or_none(rule: Rule) -> Rule:
    """`rule`, or null."""
    return f"{rule[0]} or null", lambda v: v is None or rule[1](v)


BITS = integer(1, 8)
"""How many bits weights or activations may have."""

VALUE_RANGE = one_of("symmetric", "unit")
"""The range of multi-bit values: [-1, 1] or [0, 1]."""

CANDIDATES = (8, 16, 32, 64, 128, 256, 512)
"""Numbers of codewords that a layer may get, where nobody says which."""

SEARCHED = "search"
"""In the place of numbers of groups: a supernet of all that are possible."""


def _name_layers(value: dict[Any, Any]) -> bool:
    """Whether keys can be names of layers, or patterns."""
    return bool(value) and all(isinstance(key, str) and 0 < len(key) <= 200 for key in value)


def _are_codewords(value: object) -> bool:
    if isinstance(value, dict):
        return _name_layers(value) and all(map(is_codewords, value.values()))
    return is_codewords(value)


CODEWORDS: Rule = (
    "a power of two in [2, 512], or an object of them by layer or pattern",
    _are_codewords,
)
"""How many codewords a network's layers may have."""


def _are_groups(value: object) -> bool:
    if isinstance(value, dict):
        return _name_layers(value) and _are_groups(list(value.values()))
    numbers = value if isinstance(value, list) else [value]
    return value == SEARCHED or (
        0 < len(numbers) <= 10_000 and all(is_int(g) and 1 <= g <= 65_536 for g in numbers)
    )


GROUPS: Rule = (
    f'a number of groups, a list or an object of them by layer or pattern, or "{SEARCHED}"',
    _are_groups,
)
"""How many groups a network's binary convolutions may have."""

BOOLEAN: Rule = ("true or false", lambda v: isinstance(v, bool))
