"""The exported circuit, evaluated by a reader that knows nothing but the format."""

from __future__ import annotations

import pytest

from keras_sparsebnn.oblivious import (
    ACCUMULATORS,
    ObliviousError,
    and_count,
    bristol,
    evaluate,
    write_bristol,
)
from keras_sparsebnn.oblivious.bristol import input_bits


def run_bristol(text, inputs):
    """Gate by gate, as the format says; the output and how many ANDs there were."""
    lines = iter(text.splitlines())
    gates, wires = map(int, next(lines).split())
    sizes = list(map(int, next(lines).split()))[1:]
    outputs = sum(list(map(int, next(lines).split()))[1:])
    assert next(lines) == ""
    assert [len(x) for x in inputs] == sizes
    values = [None] * wires
    values[: sum(sizes)] = [int(bit) for bits in inputs for bit in bits]
    ands = 0
    for _ in range(gates):
        *numbers, name = next(lines).split()
        n_in, n_out, *places = map(int, numbers)
        assert (n_in, n_out) == (1 if name == "INV" else 2, 1)
        assert values[places[-1]] is None
        operands = [values[place] for place in places[:-1]]
        ands += name == "AND"
        values[places[-1]] = {
            "AND": lambda a, b: a & b,
            "XOR": lambda a, b: a ^ b,
            "INV": lambda a: 1 - a,
        }[name](*operands)
    assert next(lines, None) is None
    return values[-outputs:], ands


@pytest.mark.parametrize("accumulator", ACCUMULATORS)
def test_another_reader_gets_the_same_class(program, images, tmp_path, accumulator):
    path = tmp_path / "circuit.txt"
    counts = write_bristol(program, path, accumulator)
    text = path.read_text()
    assert text.startswith(f"{counts['gates']} {counts['wires']}\n")
    client = program.architecture.bits(images[:1]).ravel()
    found, ands = run_bristol(text, [client, input_bits(program.secrets)])
    assert sum(bit << k for k, bit in enumerate(found)) == evaluate(program, images[:1])[0]
    assert ands == and_count(program, accumulator)


def test_the_file_depends_on_the_architecture_alone(program, lce_network, tmp_path):
    from keras_sparsebnn.oblivious import read_program

    for name, model in (("one", program), ("two", read_program(lce_network(1)))):
        write_bristol(model, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_circuit_that_would_be_too_large(program, tmp_path, monkeypatch):
    monkeypatch.setattr(bristol, "MAX_ANDS", 1000)
    with pytest.raises(ObliviousError, match="at most 1000 ANDs"):
        write_bristol(program, tmp_path / "circuit.txt")
    assert not list(tmp_path.iterdir())
