"""The circuit in the clear = LCE, on every image and with every accumulator."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn.errors import SparseBNNError
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


@pytest.mark.parametrize("runtime", ["lce", "delegate"])
@pytest.mark.parametrize(("pool", "padding"), [(4, 0), (3, 0), (2, 1)])
def test_pools_whose_windows_stay_in_the_map(tiny_network, rng, pool, padding, runtime):
    images = rng.choice(np.linspace(-1, 1, 17), (200, 4, 4, 1)).astype(np.float32)
    flat = tiny_network(1, pool=pool, padding=padding)
    scores = Interpreter(flat, runtime=runtime).predict(images).reshape(len(images), -1)
    expected = np.argmax(scores, -1)
    assert len(set(expected)) > 1
    np.testing.assert_array_equal(evaluate(read_program(flat), images), expected)


@pytest.mark.parametrize(("pool", "padding", "message"), [
    (5, 0, "Its windows leave the map"), (0, 0, "a window of 1 or more, got 0"),
    (0, 1, "a window of 1 or more, got 0"), (5, 1, "a window within the map"),
])  # fmt: skip
def test_pools_that_are_refused(tiny_network, pool, padding, message):
    with pytest.raises(SparseBNNError, match=message):
        read_program(tiny_network(1, pool=pool, padding=padding))


def test_the_first_of_equal_scores_wins(lce_network, images):
    found = evaluate(read_program(lce_network(3, classes=2)), images)
    np.testing.assert_array_equal(found, 0)  # both classes have the same filter and bias
