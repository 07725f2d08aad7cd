"""Choosing one option a group under a budget: how many codewords each layer gets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["cheapest_choice"]


def cheapest_choice(
    costs: Sequence[Sequence[float]], sizes: Sequence[Sequence[float]], budget: float
) -> list[int]:
    r"""The options `x_l` that minimise `sum_l costs[l][x_l]`, `sum_l sizes[l][x_l] <= budget`.

    A multiple-choice knapsack, solved exactly as an integer programme by SciPy's HiGHS.

    Args:
        costs: of each option of each group.
        sizes: likewise.
        budget: what the chosen sizes may add up to.

    Raises:
        SparseBNNError: even the smallest options exceed the budget.

    Example:
        >>> cheapest_choice([[5.0, 1.0], [5.0, 4.0]], [[1, 2], [1, 2]], 3)
        [1, 0]

    Reference: Sinha, Zoltners, "The multiple-choice knapsack problem", Operations Research 27,
    1979.
    """
    smallest = sum(min(group) for group in sizes)
    if smallest > budget * (1 + 1e-9):
        raise SparseBNNError(
            f"Expected a budget of at least {smallest:g}, got {budget:g}. Raise it, or allow "
            "smaller options."
        )
    from scipy.optimize import Bounds, LinearConstraint, milp

    group_of = np.repeat(np.arange(len(costs)), [len(group) for group in costs])
    one_each = (group_of == np.arange(len(costs))[:, np.newaxis]).astype(float)
    result = milp(
        np.concatenate([np.asarray(group, float) for group in costs]),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(np.concatenate(sizes)[np.newaxis], ub=budget * (1 + 1e-9)),
        ],
        integrality=np.ones(len(group_of)),
        bounds=Bounds(0, 1),
    )
    if not result.success:
        raise SparseBNNError(
            f"Expected sizes that fit the budget of {budget:g}, got none: {result.message:.100}"
        )
    chosen = result.x > 0.5
    return [int(np.argmax(chosen[group_of == group])) for group in range(len(costs))]
