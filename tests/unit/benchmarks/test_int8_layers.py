"""What int8 layers change: measured from the files, on all test images."""

from __future__ import annotations

import json

import pytest

from benchmarks.accuracy.int8_layers import LAYERS, OUT, rows_of
from docs.generate import int8_layers
from keras_sparsebnn import pretrained
from keras_sparsebnn.data import load


def test_a_row_for_each_choice_of_layers():
    plain, *others = rows_of("digits", load("digits"))
    card = pretrained.load("digits").card
    assert plain["other_classes"] == 0
    assert plain["images"] == 355
    assert plain["test_accuracy"] == pytest.approx(
        card["files"]["lce.tflite"]["accuracy"], abs=1e-4
    )
    assert [tuple(row["layers"]) for row in (plain, *others)] == [*LAYERS]
    for row in others:
        changed = abs(row["test_accuracy"] - plain["test_accuracy"])
        assert changed <= row["other_classes"] + 1e-4 < 0.1


def test_the_table_has_every_run():
    text = int8_layers.table()
    for row in json.loads(OUT.read_text("utf-8"))["runs"]:
        layers = ", ".join(row["layers"]) or "none"
        accuracy = f"{100 * row['test_accuracy']:.2f}"
        assert f"| `{row['network']}` | {layers} | {accuracy} |" in text
