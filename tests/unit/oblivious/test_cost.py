"""ANDs of networks."""

from __future__ import annotations

from keras_sparsebnn.oblivious import and_count, and_counts
from keras_sparsebnn.oblivious.cost import ands_of_count


def test_layers_add_up(lce_network, program):
    counts = and_counts(program.architecture)
    # Five scores: 2 + 1 pairs and a final one, W = 9 + 16 bits; places of 0, 1, 2 bits.
    tournament = 2 * (25 + 25) + (25 + 25 + 1) + (25 + 2)
    assert counts == [
        7 * 6 * 9 * ands_of_count(27),
        3 * 3 * 9 * 3,
        2 * 2 * 35 * ands_of_count(81),
        5 * ands_of_count(140) + tournament,
    ]
    assert and_count(lce_network(0)) == and_count(program) == sum(counts)


def test_accumulators_in_order(program):
    names = ("lba", "tree", "bounded", "fixed")
    counts = [and_count(program, name) for name in names]
    assert counts == sorted(counts)
    assert counts[0] < 0.55 * counts[1]
