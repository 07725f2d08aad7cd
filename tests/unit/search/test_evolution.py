"""Evolution on problems whose optimum is known."""

import itertools
import math

import numpy as np
import pytest

from keras_sparsebnn.analysis.accounting import BinaryConv
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.search import Budget, Candidate, evolve, front
from keras_sparsebnn.search.budget import Costs


class Toy:
    """A score and a cost that are sums over genes."""

    def __init__(self, genes=6, choices=(1, 2, 4, 8), seed=0):
        rng = np.random.default_rng(seed)
        self.space = {f"layer{i}": choices for i in range(genes)}
        self.worth = [dict(zip(choices, rng.normal(size=len(choices)), strict=True))
                      for _ in range(genes)]  # fmt: skip
        self.price = [dict(zip(choices, rng.uniform(1, 9, len(choices)), strict=True))
                      for _ in range(genes)]  # fmt: skip
        self.asked = []

    def cost(self, genes):
        return sum(price[g] for price, g in zip(self.price, genes, strict=True))

    def score(self, genes):
        return sum(worth[g] for worth, g in zip(self.worth, genes, strict=True))

    def evaluate(self, many):
        self.asked += many
        return [Candidate(genes, self.cost(genes), self.score(genes)) for genes in many]

    def best(self, budget):
        every = itertools.product(*self.space.values())
        return max((g for g in every if self.cost(g) <= budget), key=self.score)


@pytest.mark.parametrize("budget", [30, math.inf])
@pytest.mark.parametrize("seed", range(2))
def test_finds_the_optimum_of_a_separable_toy(seed, budget):
    toy = Toy(seed=seed)
    found = evolve(toy.evaluate, toy.space, budget, cost=toy.cost, seed=seed)
    assert found[0].genes == toy.best(budget)
    # 1000 of the 4096 candidates at most, none of them twice, none over the budget.
    assert len(set(toy.asked)) == len(toy.asked) == len(found) <= 1000
    assert all(toy.cost(genes) <= budget for genes in toy.asked)


def test_a_budget_that_only_evaluation_knows():
    toy = Toy()

    def evaluate(many):
        costs = [toy.cost(genes) for genes in many]
        return [Candidate(g, c, toy.score(g) if c <= 25 else None)
                for g, c in zip(many, costs, strict=True)]  # fmt: skip

    found = evolve(evaluate, toy.space, 25)
    assert found[0].genes == toy.best(25)
    over = [c for c in found if c.cost > 25]
    assert over
    assert found[-len(over) :] == over
    assert all(c.score is None for c in over)


def test_the_outcome_follows_from_the_seed():
    toy = Toy()
    runs = [evolve(toy.evaluate, toy.space, 40, cost=toy.cost, seed=s) for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_a_space_that_is_exhausted():
    toy = Toy(genes=2, choices=(1, 2))
    ended = []
    found = evolve(
        toy.evaluate,
        toy.space,
        population=3,
        parents=2,
        report=lambda g, c: ended.append(g),
    )
    assert len(found) == 4
    assert ended == [1, 2]


def test_scores_and_their_ties():
    found = evolve(lambda many: [Candidate(g, g[0], 1.0) for g in many], {"a": (3, 1, 2)})
    assert [c.genes for c in found] == [(1,), (2,), (3,)]


def test_the_front():
    points = [(5, 0.9), (1, 0.5), (3, 0.9), (2, 0.4), (4, None), (1, 0.6)]
    found = front(Candidate((i,), cost, score) for i, (cost, score) in enumerate(points))
    assert [c.genes for c in found] == [(5,), (2,)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 1}, r"`population` to be an integer in \[2, "),
        ({"generations": 0}, "`generations`"),
        ({"parents": 51}, r"`parents` to be an integer in \[1, 50\], got 51"),
        ({"mutation": 2}, "`mutation`"),
        ({"seed": -1}, "`seed`"),
        ({"space": {}}, "a space of genes"),
        ({"space": {"a": ()}}, "a space of genes"),
        ({"budget": 2, "cost": sum}, "budget of at least 3, what the cheapest .* got 2"),
    ],
)
def test_impossible_options(options, message):
    space = options.pop("space", {"a": (1, 5), "b": (2, 9)})
    with pytest.raises(SparseBNNError, match=message):
        evolve(lambda many: [], space, options.pop("budget", 99), **options)


@pytest.mark.parametrize(
    "text", ["bops", "bops=", "bops=x", "bops=0", "bops=nan", "bops=inf", "watts=3", "=3", ""]
)
def test_impossible_budgets(text):
    with pytest.raises(SparseBNNError, match=r"a budget like bops=2e6, of bops, bytes"):
        Budget.parse(text)


@pytest.mark.parametrize("limit", [2583552, 2583552.0, 0.1, 1e12])
def test_budgets_keep_their_digits(limit):
    assert Budget.parse(str(Budget("bops", limit))).limit == limit
    assert str(Budget("bops", 2583552.0)) == "bops=2583552"


def test_costs_of_groups_and_codewords():
    dense = BinaryConv(3, 64, 64, 4, 4)
    costs = Costs(
        [{1: dense, 2: BinaryConv(3, 32, 64, 4, 4, groups=2)}],
        [BinaryConv(3, 64, 64, 4, 4, codewords=16)],
        other_parameters=10,
    )
    assert costs((1,), "bops") - costs((2,), "bops") == dense.bops / 2
    assert costs((1,), "bytes") - costs((2,), "bytes") == 9 * 32 * 64 / 8
    assert costs((2,), "bytes") == 9 * 32 * 64 / 8 + 4 * 64 * 64 / 8 + 16 * 9 / 8 + 40
