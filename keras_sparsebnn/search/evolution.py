r"""Evolution: of a population, the best become parents of the next.

Imports nothing of Keras: what a candidate is good for is the caller's to say.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from keras_sparsebnn._rules import check, integer, number
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["Candidate", "Genes", "Space", "evolve", "front", "least_cost"]

Space = Mapping[str, Sequence[int]]
"""The choices of each gene, by its name."""

Genes = tuple[int, ...]
"""One choice of each gene, in the order of the space."""

_MOST_TRIES = 10  # for a candidate that was not there before


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One point of the space, evaluated.

    Attributes:
        genes: its choices.
        cost: in the unit of the budget.
        score: the higher, the better; None where its cost is over the budget.
    """

    genes: Genes
    cost: float
    score: float | None


def _rank(candidate: Candidate) -> tuple[float, float, Genes]:
    """The best first; equal scores by cost. Those over the budget are not asked."""
    assert candidate.score is not None
    return -candidate.score, candidate.cost, candidate.genes


def front(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The Pareto front: those that no cheaper or equally cheap one is as good as.

    Example:
        >>> found = [Candidate((1,), 3.0, 0.8), Candidate((2,), 2.0, 0.9),
        ...          Candidate((4,), 1.0, 0.7)]
        >>> [candidate.genes for candidate in front(found)]
        [(4,), (2,)]
    """
    kept: list[Candidate] = []
    scored = (c for c in candidates if c.score is not None)
    for candidate in sorted(scored, key=lambda c: (c.cost, *_rank(c))):
        best = kept[-1].score if kept else -math.inf
        if candidate.score is not None and best is not None and candidate.score > best:
            kept.append(candidate)
    return kept


def least_cost(space: Space, cost: Callable[[Genes], float]) -> float:
    """What the cheapest candidate costs, where a cost is the sum of what each gene costs.

    Example:
        >>> least_cost({"a": (1, 2, 3), "b": (2, 3)}, sum)
        3
    """
    genes = [choices[0] for choices in space.values()]
    for gene, choices in enumerate(space.values()):
        genes[gene] = min(choices, key=lambda g: cost((*genes[:gene], g, *genes[gene + 1 :])))
    return cost(tuple(genes))


class _Breeder:
    """Makes genes that fit the budget, each once."""

    def __init__(
        self,
        space: Space,
        limit: float,
        cost: Callable[[Genes], float] | None,
        mutation: float,
        seed: int,
    ) -> None:
        self._choices = [tuple(choices) for choices in space.values()]
        self._limit = limit
        self._cost = cost
        self._mutation = mutation
        self._rng = np.random.default_rng(seed)
        self._seen: set[Genes] = set()

    def _draw(self, gene: int) -> int:
        choices = self._choices[gene]
        return choices[self._rng.integers(len(choices))]

    def _fitting(self, genes: list[int]) -> Genes:
        """The same, with genes in random order made as cheap as can be until it fits."""
        if self._cost is not None and self._cost(tuple(genes)) > self._limit:
            for gene in self._rng.permutation(len(genes)):
                costs = {}
                for choice in self._choices[gene]:
                    genes[gene] = choice
                    costs[choice] = self._cost(tuple(genes))
                genes[gene] = min(costs, key=lambda choice: (costs[choice], choice))
                if costs[genes[gene]] <= self._limit:
                    break
        return tuple(genes)

    def _new(self, make: Callable[[], list[int]], count: int) -> list[Genes]:
        made: list[Genes] = []
        for _ in range(_MOST_TRIES * count):
            if len(made) == count:
                break
            genes = self._fitting(make())
            if genes not in self._seen:
                self._seen.add(genes)
                made.append(genes)
        return made

    def random(self, count: int) -> list[Genes]:
        return self._new(lambda: [self._draw(i) for i in range(len(self._choices))], count)

    def mutants(self, parents: Sequence[Genes], count: int) -> list[Genes]:
        def make() -> list[int]:
            parent = parents[self._rng.integers(len(parents))]
            changes = self._rng.random(len(parent)) < self._mutation
            return [self._draw(i) if change else parent[i] for i, change in enumerate(changes)]

        return self._new(make, count)

    def crossed(self, parents: Sequence[Genes], count: int) -> list[Genes]:
        def make() -> list[int]:
            one, other = (parents[self._rng.integers(len(parents))] for _ in range(2))
            takes = self._rng.random(len(one)) < 0.5
            return [a if take else b for a, b, take in zip(one, other, takes, strict=True)]

        return self._new(make, count)


def evolve(
    evaluate: Callable[[Sequence[Genes]], Sequence[Candidate]],
    space: Space,
    budget: float = math.inf,
    *,
    cost: Callable[[Genes], float] | None = None,
    population: int = 50,
    generations: int = 20,
    parents: int = 10,
    mutation: float = 0.1,
    seed: int = 0,
    report: Callable[[int, Sequence[Candidate]], None] = lambda generation, found: None,
) -> list[Candidate]:
    """Searches for the best candidate within a budget.

    The first generation is random. Of each later one, half are mutants of a parent, each gene
    drawn again with the chance `mutation`, and a quarter children of two parents, each gene of
    either; the rest is random. Parents are the best candidates of all generations. No candidate
    is evaluated twice. A candidate over the budget gets genes, in random order, as cheap as
    can be, until it fits; where `cost` is None only `evaluate` knows, and one that is over the
    budget counts, but is no parent and not the best.

    The outcome follows from the arguments: with answers of `evaluate` that are kept, a search
    that was killed and starts anew goes the same way.

    Args:
        evaluate: from some genes to their candidates, in the same order.
        space: the choices of each gene.
        budget: the most that a candidate may cost.
        cost: of genes, without evaluating them; the sum of what each gene costs on its own.
        population: candidates in a generation.
        generations: how many, the first included.
        parents: how many of the best.
        mutation: the chance of a gene to be drawn again.
        seed: of everything random.
        report: called after each generation, with its number from 1 and its candidates.

    Returns:
        All candidates, the best first, those over the budget last.

    Raises:
        SparseBNNError: an argument out of range, an empty space, or a budget under the
            cheapest candidate.

    Example:
        >>> def evaluate(many):
        ...     return [Candidate(g, sum(g), -abs(g[0] - g[1])) for g in many]
        >>> found = evolve(evaluate, {"a": (1, 2, 3), "b": (2, 3)}, 4, cost=sum, parents=4)
        >>> found[0].genes
        (2, 2)

    Reference: population, generations, parents and mutation are those of Guo et al., "Single
    Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV 2020,
    arXiv:1904.00420, from memory. Deviates: there candidates over the budget are drawn again,
    and half of a generation is mutants, half children.
    """
    check("population", population, integer(2, 100_000))
    check("generations", generations, integer(1, 100_000))
    check("parents", parents, integer(1, population))
    check("mutation", mutation, number(0, 1))
    check("seed", seed, integer(0, 2**31 - 1))
    if not space or not all(len(choices) > 0 for choices in space.values()):
        raise SparseBNNError("Expected a space of genes with choices, got an empty one.")
    if cost is not None and (least := least_cost(space, cost)) > budget:
        raise SparseBNNError(
            f"Expected a budget of at least {least:.6g}, what the cheapest candidate costs, "
            f"got {budget:.6g}."
        )
    breeder = _Breeder(space, budget, cost, mutation, seed)
    found: list[Candidate] = []
    best: list[Candidate] = []
    for generation in range(1, generations + 1):
        made: list[Genes] = []
        if best:
            chosen = [candidate.genes for candidate in best[:parents]]
            made += breeder.mutants(chosen, population // 2)
            made += breeder.crossed(chosen, population // 4)
        made += breeder.random(population - len(made))
        if not made:  # nothing is left of the space
            break
        evaluated = list(evaluate(made))
        found += evaluated
        fit = (c for c in evaluated if c.score is not None and c.cost <= budget)
        best = sorted([*best, *fit], key=_rank)
        report(generation, evaluated)
    within = set(best)
    return [*best, *(candidate for candidate in found if candidate not in within)]
