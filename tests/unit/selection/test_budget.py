"""The choice under a budget against every choice there is."""

import itertools

import numpy as np
import pytest

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.selection.budget import cheapest_choice


def test_against_all_choices(rng):
    for _ in range(30):
        options = rng.integers(1, 5, size=rng.integers(1, 6))
        costs = [rng.normal(size=k) for k in options]
        sizes = [rng.integers(1, 20, size=k).astype(float) for k in options]
        least = sum(s.min() for s in sizes)
        budget = least + rng.uniform() * (sum(s.max() for s in sizes) - least)
        chosen = cheapest_choice(costs, sizes, budget)
        assert sum(s[i] for s, i in zip(sizes, chosen, strict=True)) <= budget + 1e-6
        best = min(
            sum(c[i] for c, i in zip(costs, every, strict=True))
            for every in itertools.product(*map(range, options))
            if sum(s[i] for s, i in zip(sizes, every, strict=True)) <= budget + 1e-6
        )
        found = sum(c[i] for c, i in zip(costs, chosen, strict=True))
        np.testing.assert_allclose(found, best, atol=1e-6)


def test_a_budget_below_everything():
    with pytest.raises(SparseBNNError, match="a budget of at least 3, got 2"):
        cheapest_choice([[1.0], [1.0]], [[1], [2]], 2)
