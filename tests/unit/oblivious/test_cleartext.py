"""The circuit in the clear = LCE, on every image and with every accumulator."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn.oblivious import ACCUMULATORS, evaluate, read_program
from keras_sparsebnn.runtime import Interpreter


@pytest.mark.parametrize("seed", range(4))
def test_equals_lce(lce_network, images, seed):
    flat = lce_network(seed, classes=5 + seed)
    scores = Interpreter(flat).predict(images).reshape(len(images), -1)
    expected = np.argmax(scores, -1)
    assert len(set(expected)) > 1
    for accumulator in ACCUMULATORS:
        found = evaluate(read_program(flat), images, accumulator)
        np.testing.assert_array_equal(found, expected, accumulator)


def test_the_first_of_equal_scores_wins(lce_network, images):
    found = evaluate(read_program(lce_network(3, classes=2)), images)
    np.testing.assert_array_equal(found, 0)  # both classes have the same filter and bias
