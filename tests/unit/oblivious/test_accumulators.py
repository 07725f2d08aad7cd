"""Four ways to count bits: every input of up to 9 bits, and the costs' formulas."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn.oblivious import ACCUMULATORS, ObliviousError
from keras_sparsebnn.oblivious.circuit import count_bits
from keras_sparsebnn.oblivious.cleartext import Lanes
from keras_sparsebnn.oblivious.cost import ands_of_count


def bits_of(numbers, width):
    return (numbers[None] >> np.arange(width)[:, None] & 1).astype(np.uint8)


@pytest.mark.parametrize("name", ACCUMULATORS)
@pytest.mark.parametrize("taps", range(1, 10))
def test_counts_and_compares_every_input(name, taps):
    b = count_bits(taps)
    inputs, addends = np.meshgrid(np.arange(2**taps), np.arange(2**b), indexing="ij")
    bits = bits_of(inputs.ravel(), taps)
    found = ACCUMULATORS[name](bits, bits_of(addends.ravel(), b), Lanes())
    assert len(found) == b + 1
    total = sum(plane.astype(int) << k for k, plane in enumerate(found))
    np.testing.assert_array_equal(total, bits.sum(0) + addends.ravel())


@pytest.mark.parametrize(
    ("taps", "expected"),
    [(288, (290, 577, 1811, 2556)), (1152, (1154, 2305, 9495, 12617))],
)
def test_published_numbers_of_ands(taps, expected):
    assert tuple(ands_of_count(taps, name) for name in ACCUMULATORS) == expected


@pytest.mark.parametrize("taps", [1, 2, 3, 9, 72, 100, 576, 1000])
def test_formulas(taps):
    b = taps.bit_length()
    numbers, level, tree = taps, 1, b
    while numbers > 1:
        tree += level * (numbers // 2)
        numbers, level = -(-numbers // 2), level + 1
    assert ands_of_count(taps, "tree") == tree
    bounded = sum(count.bit_length() - 1 for count in range(2, taps + 1)) + b
    assert ands_of_count(taps, "bounded") == bounded
    assert ands_of_count(taps, "fixed") == b * taps - b * (b - 1) // 2
    # A full adder for each bit but one in a column, and a half adder where bits are even.
    lba, carries = 0, taps
    for _ in range(b):
        carries = (carries + 1) // 2
        lba += carries
    assert ands_of_count(taps, "lba") == lba


def test_another_accumulator():
    with pytest.raises(ObliviousError, match="lba, tree, bounded, fixed, got 'sum'"):
        ands_of_count(9, "sum")
