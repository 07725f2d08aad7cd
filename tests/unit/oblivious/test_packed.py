"""The circuit on words of 32 channels = the circuit on bits, without SPU."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn.oblivious import ACCUMULATORS, evaluate, read_program
from keras_sparsebnn.oblivious.packed import PackedWords, class_of, input_shapes, packed


@pytest.mark.parametrize("accumulator", ACCUMULATORS)
@pytest.mark.parametrize("classes", [2, 5, 40, 100])
def test_equals_the_cleartext(lce_network, images, classes, accumulator):
    program = read_program(lce_network(classes, classes=classes))
    given = {
        f"{name}{number}": packed(bits)
        for number, layer in enumerate(program.secrets)
        for name, bits in layer.items()
    }
    given["image"] = packed(program.architecture.bits(images))
    server, client = input_shapes(program.architecture, len(images))
    assert {name: words.shape for name, words in given.items()} == {**server, **client}
    found = class_of(program.architecture, given, PackedWords(), accumulator)
    np.testing.assert_array_equal(found, evaluate(program, images, accumulator))


def test_bits_lie_in_words_by_number():
    bits = np.zeros((2, 40), np.bool_)
    bits[0, 0] = bits[0, 33] = bits[1, 31] = True
    np.testing.assert_array_equal(packed(bits), [[1, 2], [1 << 31, 0]])
