"""`predict`: iterators of samples, models without inputs, errors of the libraries below."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import Interpreter
from keras_sparsebnn.tflite_file import ModelBuilder, Table


def summing(batch=1):
    """Two inputs and their sum, `batch` samples at a time."""
    builder = ModelBuilder()
    a, b, y = (builder.activation([batch, 3], "float32", name=n) for n in ("a", "b", "y"))
    builder.operator("ADD", [a, b], [y], Table("AddOptions"))
    return builder.to_bytes([a, b], [y])


def doubling(batch=1):
    builder = ModelBuilder()
    x, y = (builder.activation([batch, 3], "float32") for _ in range(2))
    builder.operator("ADD", [x, x], [y], Table("AddOptions"))
    return builder.to_bytes([x], [y])


class TestIterators:
    def test_as_lces(self, rng):
        lce = pytest.importorskip("larq_compute_engine")
        x = rng.normal(size=(5, 3)).astype(np.float32)
        theirs = lce.testing.Interpreter(doubling())
        for runtime in ("litert", "lce"):
            ours = Interpreter(doubling(), runtime=runtime)
            for samples in (lambda: iter(x), lambda: ([one] for one in x)):
                got = ours.predict(samples())
                np.testing.assert_array_equal(got, theirs.predict(samples()))
                np.testing.assert_array_equal(got, 2 * x)

    def test_several_inputs(self, rng):
        a, b = rng.normal(size=(2, 4, 3)).astype(np.float32)
        interpreter = Interpreter(summing())
        np.testing.assert_array_equal(interpreter.predict(zip(a, b, strict=True)), a + b)

    @pytest.mark.parametrize("batch", [1, 2, 4])
    def test_no_more_are_taken_than_run_at_once(self, rng, batch, monkeypatch):
        x = rng.normal(size=(8, 3)).astype(np.float32)
        interpreter = Interpreter(doubling(batch))
        taken, ahead = itertools.count(), []
        invoke = interpreter._backend.invoke
        done = itertools.count(batch, batch)

        def recorded(arrays):
            ahead.append(next(counter) - next(done))
            return invoke(arrays)

        seen = []

        def samples():
            for one in x:
                next(taken)
                seen.append(one)
                yield one

        counter = iter(lambda: len(seen), None)
        monkeypatch.setattr(interpreter._backend, "invoke", recorded)
        np.testing.assert_array_equal(interpreter.predict(samples()), 2 * x)
        assert ahead == [0] * (8 // batch)

    def test_no_samples(self):
        assert Interpreter(doubling()).predict(iter([])).shape == (0, 3)

    def test_counts(self, capsys):
        Interpreter(doubling()).predict(iter(np.zeros((2, 3), np.float32)), verbose=1)
        assert capsys.readouterr().err == "\r1\r2\n"

    @pytest.mark.parametrize(
        ("samples", "message"),
        [
            ([np.zeros(4, np.float32)], r"shape \[samples, 3\], got \[1, 4\] \(input 0"),
            ([np.zeros(3)], "dtype float32, got float64"),
            ([[np.zeros(3, np.float32)] * 2], r"Expected 1 input array\(s\), got 2"),
            (["text"], r"Expected (1 input array|an array)"),
        ],
    )
    def test_wrong_samples(self, samples, message):
        with pytest.raises(SparseBNNError, match=message):
            Interpreter(doubling()).predict(iter(samples))

    def test_samples_that_do_not_fill_a_batch_or_differ(self):
        interpreter = Interpreter(doubling(2))
        zeros = np.zeros((3, 3), np.float32)
        with pytest.raises(SparseBNNError, match=r"multiple of 2 samples .*got \[1\]"):
            interpreter.predict(iter(zeros))
        with pytest.raises(SparseBNNError, match="samples of the same shapes"):
            interpreter.predict(iter([zeros[0], zeros[0, :2]]))


class TestNoInputs:
    def test_runs_once(self):
        builder = ModelBuilder()
        c = builder.constant(np.float32([[1, -2, 3]]))
        y = builder.activation([1, 3], "float32")
        builder.operator("ABS", [c], [y], Table("AbsOptions"))
        flat = builder.to_bytes([], [y])
        for runtime in ("litert", "delegate"):
            np.testing.assert_array_equal(
                Interpreter(flat, runtime=runtime).predict([]), [[1, 2, 3]]
            )

    def test_one_line_where_it_cannot(self):
        # An operator reads a tensor that nothing computes.
        builder = ModelBuilder()
        x, y = (builder.activation([1, 3], "float32") for _ in range(2))
        builder.operator("ABS", [x], [y], Table("AbsOptions"))
        interpreter = Interpreter(builder.to_bytes([], [y]))
        with pytest.raises(SparseBNNError, match="to run the model, got: ") as caught:
            interpreter.predict([])
        assert "\n" not in str(caught.value)


class TestErrorsFromBelow:
    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (MemoryError("std::bad_alloc"), r"got: not enough memory \(std::bad_alloc\)"),
            (MemoryError(), r"not enough memory \(MemoryError\)"),
            (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "codec can't decode"),
            (SystemError("a\nb"), "got: a b"),
            (IndexError("x"), "got: x"),
            (OverflowError("y"), "got: y"),
        ],
    )
    def test_are_ours(self, monkeypatch, error, message):
        def failing(*arguments):
            raise error

        interpreter = Interpreter(doubling())
        monkeypatch.setattr(interpreter._backend, "invoke", failing)
        with pytest.raises(SparseBNNError, match=message) as caught:
            interpreter.predict(np.zeros((1, 3), np.float32))
        assert "\n" not in str(caught.value)
        monkeypatch.setattr("keras_sparsebnn.runtime.interpreter.StockBackend", failing)
        with pytest.raises(SparseBNNError, match=message):
            Interpreter(doubling())

    def test_a_model_that_needs_more_memory_than_there_is(self):
        builder = ModelBuilder()
        x, y = (builder.activation([1, 2**20, 2**20], "float32") for _ in range(2))
        builder.operator("RELU", [x], [y])
        with pytest.raises(SparseBNNError, match="to load the model"):
            Interpreter(builder.to_bytes([x], [y]))
