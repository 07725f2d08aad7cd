"""Files of one format that become another's, given as bytes or by a path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.converters import compress, convert_file, expand, quantize_weights
from keras_sparsebnn.runtime import Interpreter

GOLDEN = Path(__file__).parents[2] / "golden"
LCE, SUBBIT = GOLDEN / "lce_selected.tflite", GOLDEN / "subbit_v1.tflite"


@pytest.mark.parametrize("given", [str, Path, Path.read_bytes])
@pytest.mark.parametrize(
    ("make", "path"),
    [
        (compress, LCE),
        (compress, GOLDEN / "float_only.tflite"),
        (expand, SUBBIT),
        (expand, LCE),
        (quantize_weights, LCE),
        (lambda model: convert_file(model, "subbit", weights="int8"), LCE),
        (convert_file, LCE),
    ],
)
def test_a_path_is_as_good_as_bytes(make, path, given):
    made = make(given(path))
    assert isinstance(made, bytes)
    assert made == make(path.read_bytes())


def test_what_would_not_change_is_not_copied():
    flat = LCE.read_bytes()
    assert expand(flat) is flat
    assert convert_file(flat) is flat


def test_other_kinds_of_bytes(rng):
    x = rng.normal(size=(2, 4, 4, 32)).astype(np.float32)
    flat = SUBBIT.read_bytes()
    expected = Interpreter(flat).predict(x)
    for kind in (bytearray, memoryview):
        assert expand(kind(flat)) == expand(flat)
        np.testing.assert_array_equal(Interpreter(kind(flat)).predict(x), expected)
