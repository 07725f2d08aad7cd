"""Saved models load without custom_objects, whatever part of the package comes first."""

from __future__ import annotations

import subprocess
import sys

import pytest

REPORT = (
    "import tensorflow as tf; print('registered:',"
    " *(k.partition('>')[2] for k in tf.keras.utils.get_custom_objects() if '>' in k))"
)


@pytest.mark.parametrize(
    "first",
    [
        "from keras_sparsebnn._keras import keras",
        "from keras_sparsebnn.quantizers import SparseKernel",
    ],
)
def test_first_import(first):
    result = subprocess.run(
        [sys.executable, "-c", f"{first}\n{REPORT}"], capture_output=True, text=True, check=True
    )
    (line,) = (x for x in result.stdout.splitlines() if x.startswith("registered:"))
    expected = {"SparseBinaryConv2D", "SparseKernel", "RPReLU", "DistilledModel"}
    assert expected <= set(line.split())


def test_the_light_half_stays_light():
    code = "import keras_sparsebnn.runtime, sys; print('tensorflow' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
