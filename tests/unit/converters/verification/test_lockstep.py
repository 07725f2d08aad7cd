"""How much of a comparison is in memory at a time, and how it shows its progress."""

from __future__ import annotations

import gc
import io

import numpy as np
import pytest

pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from keras_sparsebnn import models
from keras_sparsebnn._keras import keras
from keras_sparsebnn.converters import convert_keras_model, verify
from keras_sparsebnn.converters.verification import lockstep
from keras_sparsebnn.converters.verification.exposed_tensors import ExposedInterpreter
from keras_sparsebnn.quantizers import FixedSubset
from keras_sparsebnn.tflite_file import read


@pytest.fixture(scope="module")
def small():
    keras.utils.set_random_seed(4)
    model = models.small((8, 8, 1), 5, kernel_quantizer=lambda n: FixedSubset(16, seed=2))
    inputs = np.random.default_rng(4).normal(size=(6, 8, 8, 1)).astype(np.float32)
    return model, convert_keras_model(model), inputs


def test_bytes_are_those_of_the_results(small):
    _, flat, inputs = small
    interpreter = ExposedInterpreter(read(flat))
    results = interpreter.run([inputs])
    total = sum(values.nbytes for values in results.values())
    assert total == interpreter.bytes_per_sample * len(inputs)
    for index, values in interpreter.run([inputs[2:3]]).items():
        np.testing.assert_array_equal(values, results[index][2:3])


@pytest.mark.parametrize(("samples_that_fit", "largest"), [(0, 1), (2, 2), (5, 4), (100, 4)])
def test_batches_are_bounded_by_their_bytes(small, monkeypatch, samples_that_fit, largest):
    model, flat, inputs = small
    each = ExposedInterpreter(read(flat)).bytes_per_sample
    monkeypatch.setattr(
        lockstep, "_MAX_BATCH_BYTES", samples_that_fit * lockstep._COPIES * each
    )
    sizes = []
    true = ExposedInterpreter.run

    def run(self, feeds):
        sizes.append(len(feeds[0]))
        return true(self, feeds)

    monkeypatch.setattr(ExposedInterpreter, "run", run)
    report = verify(model, flat, inputs, batch_size=4)
    assert report.samples == len(inputs)
    assert max(sizes) == largest
    assert sum(sizes) % len(inputs) == 0


def test_nothing_is_kept_of_tensors_that_are_gone(small, monkeypatch):
    model, flat, inputs = small
    known, most = [], []
    true = lockstep._Lockstep.visit

    def visit(self, call):
        if not known or known[-1] is not self._steps:
            known.append(self._steps)
        output = true(self, call)
        most.append(len(self._steps))
        return output

    monkeypatch.setattr(lockstep._Lockstep, "visit", visit)
    verify(model, flat, inputs)
    gc.collect()
    assert known
    assert not any(known)
    # A chain with shortcuts: an activation, its shortcut, and what replaced them.
    assert max(most) < 8 < len(model.layers)


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_only_on_a_terminal(small, monkeypatch, capsys):
    model, flat, inputs = small
    verify(model, flat, inputs, progress=True)
    assert capsys.readouterr() == ("", "")
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    verify(model, flat, inputs)
    assert terminal.getvalue() == ""
    verify(model, flat, inputs, progress=True)
    assert "verify" in terminal.getvalue()
    assert "sample" in terminal.getvalue()
