"""`Interpreter` and its `predict`: runtimes, samples, names, errors of the libraries below."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import (
    Interpreter,
)
from keras_sparsebnn.tflite_file import ModelBuilder, Table
from tests.unit.runtime.stock_models import STOCK, stock


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
        x, *many = (builder.activation([1, 2**15, 2**15], "float32") for _ in range(1000))
        for y in many:
            builder.operator("RELU", [x], [y])
        with pytest.raises(SparseBNNError, match="to load the model"):
            Interpreter(builder.to_bytes([x], many))


def test_a_number_without_an_axis_of_samples_is_one():
    builder = ModelBuilder()
    x = builder.activation([1, 4, 5], "float32")
    rank = builder.activation([], "int32")
    builder.operator("RANK", [x], [rank], Table("RankOptions"))
    found = Interpreter(builder.to_bytes([x], [rank])).predict(np.zeros((3, 4, 5), np.float32))
    assert found.tolist() == [3, 3, 3]


class TestInterpreter:
    def test_equals_lces_own(self, lce_file, rng):
        lce = pytest.importorskip("larq_compute_engine")
        ours = Interpreter(lce_file, runtime="lce")
        theirs = lce.testing.Interpreter(lce_file.read_bytes())
        x = rng.standard_normal((5, 6, 6, 32)).astype(np.float32)
        np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
        assert ours.runtime == "lce"
        for side in ("input", "output"):
            for what in ("shapes", "types", "scales", "zero_points"):
                assert getattr(ours, f"{side}_{what}") == getattr(theirs, f"{side}_{what}")

    def test_lce_library_loads_without_tensorflow_and_shares_with_the_package(self, lce_file):
        pytest.importorskip("larq_compute_engine")
        code = (
            "import sys, numpy as np\n"
            "from keras_sparsebnn.runtime import Interpreter\n"
            "ours = Interpreter(sys.argv[1], runtime='lce')\n"
            "x = np.ones((1, 6, 6, 32), np.float32)\n"
            "y = ours.predict(x)\n"
            "assert 'tensorflow' not in sys.modules and 'larq' not in sys.modules\n"
            "import larq_compute_engine as lce\n"
            "theirs = lce.testing.Interpreter(open(sys.argv[1], 'rb').read())\n"
            "assert np.array_equal(theirs.predict(x), y)\n"
        )
        subprocess.run([sys.executable, "-c", code, str(lce_file)], check=True)

    @pytest.mark.parametrize("runtime", ["auto", "litert", "delegate", "lce"])
    def test_stock_model_on_every_runtime(self, stock_file, rng, runtime):
        interpreter = Interpreter(stock_file.read_bytes(), runtime=runtime, num_threads=2)
        x = rng.standard_normal((3, 4)).astype(np.float32)
        # One product and one sum in float32 in either order of rounding: 2 ulp.
        np.testing.assert_allclose(interpreter.predict(x), 2 * x + 1, rtol=3e-7, atol=3e-7)
        assert interpreter.runtime == {
            "lce": "lce",
            "delegate": f"delegate on {STOCK}",
        }.get(runtime, STOCK)
        assert interpreter.input_shapes == [(1, 4)]
        assert interpreter.input_types == [np.dtype(np.float32)]
        assert interpreter.output_shapes == [(1, 4)]
        assert interpreter.output_types == [np.dtype(np.float32)]
        assert interpreter.input_scales == [None]
        assert interpreter.output_zero_points == [None]

    def test_several_inputs_and_outputs(self, rng):
        data = stock(lambda a, b: (a + 1.0, b * 2.0), (1, 2), (1, 3))
        interpreter = Interpreter(data)
        order = [shape[1] for shape in interpreter.input_shapes]
        x = {size: rng.standard_normal((4, size)).astype(np.float32) for size in (2, 3)}
        outputs = interpreter.predict([x[size] for size in order])
        got = {output.shape[1]: output for output in outputs}
        np.testing.assert_allclose(got[2], x[2] + 1, rtol=3e-7, atol=3e-7)
        np.testing.assert_array_equal(got[3], x[3] * 2)

    def test_batches_of_a_model_with_a_fixed_batch(self, rng):
        interpreter = Interpreter(stock(lambda x: x - 1.0, (2, 3)))
        x = rng.standard_normal((6, 3)).astype(np.float32)
        np.testing.assert_array_equal(interpreter.predict(x), x - 1)
        with pytest.raises(SparseBNNError, match=r"multiple of 2 samples .*got \[3\]"):
            interpreter.predict(x[:3])

    def test_no_samples(self, lce_file):
        assert Interpreter(lce_file).predict(np.zeros((0, 6, 6, 32), np.float32)).shape == (
            0,
            3,
        )

    def test_verbose_counts_samples(self, stock_file, capsys):
        Interpreter(stock_file).predict(np.zeros((2, 4), np.float32), verbose=1)
        assert capsys.readouterr().err.splitlines()[-1].endswith("2/2")

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (np.zeros((2, 5), np.float32), r"shape \[samples, 4\], got \[2, 5\] \(input 0"),
            (np.zeros(4, np.float32), r"shape \[samples, 4\], got \[4\]"),
            (np.zeros((2, 4)), r"dtype float32, got float64 .*x\.astype\('float32'\)"),
            (np.zeros((2, 4), np.int8), "dtype float32, got int8"),
            ([], r"Expected 1 input array\(s\), got 0"),
            ([np.zeros((1, 4), np.float32)] * 2, r"Expected 1 input array\(s\), got 2"),
            (["a"], r"shape \[samples, 4\], got str"),
            (None, "Expected an array or several, got None"),
            (np.float32(1), "Expected an array or several, got 1"),
            (iter([None]), "Expected an array or several, got None"),
        ],
    )
    def test_wrong_inputs(self, stock_file, x, message):
        with pytest.raises(SparseBNNError, match=message):
            Interpreter(stock_file).predict(x)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"runtime": "tpu"}, "`runtime` to be one of .* got 'tpu'"),
            ({"kernel": "fast"}, "`kernel` to be one of .* got 'fast'"),
            ({"isa": "sse2", "runtime": "delegate"}, "`isa` to be one of .* got 'sse2'"),
            ({"kernel": "xnor"}, "\"litert\" runs the model, got 'xnor'"),
            ({"profile": True, "runtime": "lce"}, '"lce" runs the model, .* True'),
            ({"glue": False}, '"litert" runs the model, .* False and True'),
            ({"stem": False}, '"litert" runs the model, .* True and False'),
            ({"num_threads": 0}, r"`num_threads` to be in \[1, 256\], got 0"),
            ({"num_threads": 10**9}, "got 1000000000"),
            ({"num_threads": "2"}, r"`num_threads` to be in \[1, 256\], got '2'"),
            ({"num_threads": 1.5}, r"`num_threads` to be in \[1, 256\], got 1\.5"),
            ({"glue": "no"}, "`glue` to be True or False, got 'no'"),
        ],
    )
    def test_wrong_options(self, stock_file, options, message):
        with pytest.raises(SparseBNNError, match=message):
            Interpreter(stock_file, **options)

    def test_options_of_numpys_types(self, lce_file):
        options = {"profile": np.True_, "glue": np.False_, "stem": np.True_}
        interpreter = Interpreter(lce_file, num_threads=np.int64(2), **options)
        assert interpreter.num_threads == 2
        assert interpreter.profile()

    def test_binary_ops_need_the_delegate(self, lce_file):
        with pytest.raises(
            SparseBNNError, match=r'got LceBconv2d, LceQuantize .* Use runtime "delegate"'
        ):
            Interpreter(lce_file, runtime="litert")

    def test_inputs_and_outputs_by_name(self, rng):
        data = stock(lambda a, b: {"sum": a + 1.0, "product": b * 2.0}, (1, 2), (1, 3))
        x = {"x0": rng.standard_normal((4, 2)), "x1": rng.standard_normal((4, 3))}
        x = {name: value.astype(np.float32) for name, value in x.items()}
        for runtime in ("litert", "lce"):
            interpreter = Interpreter(data, runtime=runtime)
            assert sorted(t.name for t in interpreter.inputs) == ["x0", "x1"]
            outputs = interpreter.predict(x)
            assert sorted(outputs) == ["product", "sum"]
            np.testing.assert_allclose(outputs["sum"], x["x0"] + 1, rtol=3e-7, atol=3e-7)
            np.testing.assert_array_equal(outputs["product"], x["x1"] * 2)
            with pytest.raises(SparseBNNError, match=r"inputs x\d, x\d, got x0, y"):
                interpreter.predict({"x0": x["x0"], "y": x["x1"]})

    def test_a_refusing_interpreter_gives_one_line(self, lce_file):
        # Renamed ops: stock custom ops that nobody registered.
        data = lce_file.read_bytes().replace(b"Lce", b"Xyz")
        with pytest.raises(
            SparseBNNError, match=r"sub-bit ops, got XyzBconv2d, XyzQuantize .* no kernels"
        ) as caught:
            Interpreter(data)
        assert "\n" not in str(caught.value)

    def test_no_runtime_installed(self, lce_file, stock_file, monkeypatch):
        for name in [n for n in sys.modules if n.endswith("interpreter_wrapper_lite")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(SparseBNNError, match=r"keras-sparsebnn\[convert\]"):
            Interpreter(lce_file, runtime="lce")
        for file in (lce_file, stock_file):
            with pytest.raises(SparseBNNError, match=r"keras-sparsebnn\[device\]"):
                Interpreter(file)
