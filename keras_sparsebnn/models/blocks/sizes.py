"""Checks the sizes that networks are built from, before Keras stumbles over them."""

from __future__ import annotations

from collections.abc import Sequence

from keras_sparsebnn._rules import Rule, check, is_int

__all__ = ["check_depths", "check_widths"]


def _integers(high: int) -> Rule:
    return (
        f"a list of 1 to 100 integers in [1, {high}]",
        lambda values: (
            isinstance(values, Sequence)
            and 0 < len(values) <= 100
            and all(is_int(value) and 1 <= value <= high for value in values)
        ),
    )


def check_widths(widths: Sequence[int]) -> None:
    """Raises a `SparseBNNError` unless these can be the channels of layers or stages."""
    check("widths", widths, _integers(65_536))


def check_depths(depths: Sequence[int]) -> None:
    """Raises a `SparseBNNError` unless these can be the blocks of stages."""
    check("depths", depths, _integers(1000))
