"""The script that says what more threads gain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import keras_sparsebnn
from benchmarks.speed import thread_gain

DIGITS = Path(keras_sparsebnn.__file__).parent / "pretrained" / "models" / "digits"


def test_gains_are_of_the_first():
    assert thread_gain.gains({"1": 3.0, "2": 2.0, "4": 6.0}) == (
        "1: 3 (1.00x), 2: 2 (1.50x), 4: 6 (0.50x)"
    )


def test_a_file_is_timed_op_by_op(tmp_path, monkeypatch, capsys):
    output = tmp_path / "gain.json"
    command = [str(DIGITS / "lce.tflite"), "--runs", "10", "--threads", "1", "3"]
    monkeypatch.setattr("sys.argv", ["thread_gain", *command, "-o", str(output)])
    assert thread_gain.main() == 0
    assert "two processes at once do" in capsys.readouterr().out
    (model,) = json.loads(output.read_text())["models"]
    assert model["ceiling"] > 0
    assert set(model["ms"]) == {"1", "3"}
    ops = model["ops"]
    assert len({op["node"] for op in ops}) == len(ops)
    assert sum(op["op"] == "LceBconv2d" for op in ops) >= 2
    # One clock around each op, one around all of them.
    for threads, milliseconds in model["ms"].items():
        times = [op["us"][threads] for op in ops]
        assert all(time > 0 for time in times)
        assert sum(times) < 3e3 * milliseconds


def test_a_missing_file_is_one_line(monkeypatch):
    monkeypatch.setattr("sys.argv", ["thread_gain", "/nowhere.tflite"])
    with pytest.raises(SystemExit, match=r"^No such file or directory \(/nowhere\.tflite\)$"):
        thread_gain.main()
