"""Benchmarks that go seed by seed: what is there is not made again, nothing made is lost."""

import json

import pytest

from benchmarks.accuracy import seed_runs
from keras_sparsebnn._keras import keras

SETTING = {"dataset": "digits", "policy": "float32", "epochs": 1}


@pytest.fixture(autouse=True)
def policy():
    before = keras.mixed_precision.global_policy()
    yield
    keras.mixed_precision.set_global_policy(before)


def make(monkeypatch, output, runs_of, *arguments):
    monkeypatch.setattr("sys.argv", ["benchmark", "-o", str(output), *arguments])
    seed_runs.main("About it.", output.with_name("name.json"), SETTING, runs_of, seeds=2)


def test_goes_on_with_the_seeds_that_are_missing(tmp_path, monkeypatch):
    output, made = tmp_path / "out.json", []

    def runs_of(dataset, seed):
        made.append((dataset.name, seed))
        return [{"seed": seed, "way": way} for way in "ab"]

    make(monkeypatch, output, runs_of, "--seeds", "1")
    make(monkeypatch, output, runs_of)
    make(monkeypatch, output, runs_of)
    assert made == [("digits", 0), ("digits", 1)]
    result = json.loads(output.read_text())
    assert result["setting"] == SETTING
    assert [(run["seed"], run["way"]) for run in result["runs"]] == [
        *((0, "a"), (0, "b"), (1, "a"), (1, "b"))
    ]
    assert seed_runs.known_runs(output) == result["runs"]


def test_a_seed_that_fails_loses_none_before_it(tmp_path, monkeypatch):
    output = tmp_path / "out.json"

    def runs_of(dataset, seed):
        if seed:
            raise KeyboardInterrupt
        return [{"seed": seed}]

    with pytest.raises(KeyboardInterrupt):
        make(monkeypatch, output, runs_of)
    assert seed_runs.known_runs(output) == [{"seed": 0}]
