"""`sparsebnn oblivious`; two processes are in tests/unit/oblivious."""

from __future__ import annotations

import json

import numpy as np
import pytest

from keras_sparsebnn.cli import main
from keras_sparsebnn.oblivious import and_count
from tests.unit.oblivious.conftest import network


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(network(0))
    return path


def test_a_table_of_layers(model, capsys):
    assert main(["oblivious", "circuit", str(model), "--accumulator", "tree"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:6]] == [
        *("layer", "convolution", "pool", "convolution", "scores", "all")
    ]
    assert lines[5].split() == ["all", f"{and_count(model, 'tree'):,}"]


def test_json_and_a_bristol_file(model, tmp_path, capsys):
    out = tmp_path / "circuit.txt"
    assert main(["oblivious", "circuit", str(model), "--json", "--bristol", str(out)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ands"] == and_count(model) == sum(x["ands"] for x in report["layers"])
    first = out.read_text().partition("\n")[0]
    assert first == f"{report['bristol']['gates']} {report['bristol']['wires']}"


def test_errors_are_one_line(model, tmp_path, capsys):
    for arguments in (
        [str(tmp_path / "none.tflite")],
        [str(model), "--bristol", str(model)],
        [str(model), "--bristol", str(tmp_path / "no" / "folder.txt")],
    ):
        assert main(["oblivious", "circuit", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("sparsebnn oblivious: error: Expected")
        assert error.count("\n") == 1


@pytest.mark.parametrize("action", ["serve", "query"])
def test_help_teaches_both_sides(action, capsys):
    assert main(["oblivious", action, "--help"]) == 0
    out = capsys.readouterr().out
    for command in ("oblivious serve model.tflite", "oblivious query image.png", "ssh -L"):
        assert command in out


def test_serve_and_query_refuse_in_one_line(model, tmp_path, capsys):
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "integers.npy", np.zeros((4, 4, 1), np.int64))
    (tmp_path / "image.png").write_bytes(b"no image")
    for arguments in (
        ["serve", str(model), "--listen", "7100"],
        ["serve", str(model), "--session-seconds", "0"],
        ["serve", str(model), "--max-batch", "1000"],
        ["query", str(tmp_path / "objects.npy")],
        ["query", str(tmp_path / "integers.npy")],
        ["query", str(tmp_path / "image.png")],
        ["query", str(tmp_path / "integers.npy"), "--link-port", "70000"],
    ):
        assert main(["oblivious", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("sparsebnn oblivious: error: Expected"), error
        assert error.count("\n") == 1
