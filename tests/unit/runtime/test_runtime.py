"""The light runtime: structure checks, one interface over interpreters, benchmark."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import (
    Interpreter,
    Timing,
    benchmark,
    custom_ops,
    read_model,
)
from keras_sparsebnn.runtime.memory import peak_bytes
from keras_sparsebnn.runtime.stock_backend import import_stock
from keras_sparsebnn.runtime.worker import random_inputs
from keras_sparsebnn.runtime.worker_process import WorkerProcess

STOCK = import_stock()[0]


@pytest.fixture(scope="module")
def lce_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sign -> binary conv -> pool network, converted by LCE's own converter."""
    lce = pytest.importorskip("larq_compute_engine")
    from keras_sparsebnn._keras import keras
    from keras_sparsebnn.layers import SparseBinaryConv2D
    from keras_sparsebnn.quantizers import SparseKernel
    from keras_sparsebnn.transforms.freezing import freeze

    keras.utils.set_random_seed(7)
    x = pictures = keras.layers.Input((6, 6, 32))
    x = SparseBinaryConv2D(
        32,
        3,
        kernel_quantizer=SparseKernel(16, seed=7),
        padding="same",
        pad_values=1.0,
        input_quantizer="approx_sign",
        use_bias=False,
    )(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = freeze(keras.Model(pictures, keras.layers.Dense(3)(x)))
    path = tmp_path_factory.mktemp("lce") / "lce.tflite"
    path.write_bytes(lce.convert_keras_model(model))
    return path


def stock(function, *shapes: tuple[int, ...]) -> bytes:
    """A stock .tflite of a function of float32 tensors."""
    from keras_sparsebnn._keras import tf

    module = tf.Module()  # gives the file a signature
    module.function = tf.function(function)
    concrete = module.function.get_concrete_function(
        *(tf.TensorSpec(shape, tf.float32, name=f"x{i}") for i, shape in enumerate(shapes))
    )
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()


@pytest.fixture(scope="module")
def stock_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`2x + 1`."""
    path = tmp_path_factory.mktemp("stock") / "stock.tflite"
    path.write_bytes(stock(lambda x: 2.0 * x + 1.0, (1, 4)))
    return path


class TestReadModel:
    def test_accepts_a_path_and_bytes(self, lce_file):
        data = lce_file.read_bytes()
        assert read_model(lce_file) == (data, str(lce_file))
        assert read_model(data) == (data, "bytes")

    def test_names_custom_ops(self, lce_file, stock_file):
        assert custom_ops(lce_file.read_bytes()) == ["LceBconv2d", "LceQuantize"]
        assert custom_ops(stock_file.read_bytes()) == []

    def test_no_prefix_of_a_file_passes(self, lce_file):
        # LCE's interpreter crashes the process on most of these.
        data = lce_file.read_bytes()
        for length in (*range(64), *range(64, len(data) - 1, max(1, len(data) // 300))):
            with pytest.raises(SparseBNNError, match=r"Expected a (readable )?\.tflite"):
                read_model(data[:length])

    def test_changed_bytes_raise_one_line_or_pass(self, lce_file, rng):
        data = lce_file.read_bytes()
        refused = []
        for _ in range(1500):
            changed = bytearray(data)
            for position in rng.integers(8, min(len(data), 4000), rng.integers(1, 5)):
                changed[position] = rng.integers(256)
            try:
                read_model(bytes(changed))
            except SparseBNNError as error:
                refused.append(str(error))
        assert len(refused) > 150
        assert not any("\n" in message for message in refused)

    @pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 7, b"not a model" * 9])
    def test_refuses_other_bytes(self, data):
        with pytest.raises(SparseBNNError, match=r"Expected a \.tflite .*\(bytes\)"):
            read_model(data)

    def test_bounds_the_length(self, tmp_path):
        path = tmp_path / "huge.tflite"
        with path.open("wb") as file:
            file.truncate(2**31)  # sparse: takes no room
        with pytest.raises(SparseBNNError, match="8 to 2147483647 bytes, got 2147483648"):
            read_model(path)

    def test_bounds_the_work_when_tables_are_aliased(self):
        # 400 mentions of one subgraph with 400 mentions of one operator: 160,000 visits asked
        # for by 3 kB. Offsets only point forward: root, vtables, then outside in.
        items = 400
        sizes = {
            "model_vtable": 12,
            "subgraph_vtable": 12,
            "operator_vtable": 4,
            "model": 8,
            "subgraphs": 4 + 4 * items,
            "subgraph": 8,
            "operators": 4 + 4 * items,
            "operator": 4,
        }
        starts = np.cumsum([8, *sizes.values()]).tolist()
        at = dict(zip(sizes, starts, strict=False))
        data = bytearray(starts[-1])
        struct.pack_into("<I4s", data, 0, at["model"], b"TFL3")
        # vtable bytes, table bytes, then where each field is: "subgraphs" is field 2 of a
        # model, "operators" field 3 of a subgraph.
        struct.pack_into("<5H", data, at["model_vtable"], 10, 8, 0, 0, 4)
        struct.pack_into("<6H", data, at["subgraph_vtable"], 12, 8, 0, 0, 0, 4)
        struct.pack_into("<2H", data, at["operator_vtable"], 4, 4)
        for table in ("model", "subgraph", "operator"):
            struct.pack_into("<i", data, at[table], at[table] - at[f"{table}_vtable"])
        for table, vector, target in (
            ("model", "subgraphs", "subgraph"),
            ("subgraph", "operators", "operator"),
        ):
            struct.pack_into("<I", data, at[table] + 4, at[vector] - at[table] - 4)
            struct.pack_into("<I", data, at[vector], items)
            for where in range(at[vector] + 4, at[vector] + 4 + 4 * items, 4):
                struct.pack_into("<I", data, where, at[target] - where)
        with pytest.raises(SparseBNNError, match=r"got (more than 200000 tables|vectors of)"):
            read_model(bytes(data))

    def test_missing_file(self):
        with pytest.raises(FileNotFoundError, match="No such file"):
            read_model("/nowhere/model.tflite")


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
            ({"num_threads": 0}, r"`num_threads` to be in \[1, 256\], got 0"),
            ({"num_threads": 10**9}, "got 1000000000"),
        ],
    )
    def test_wrong_options(self, stock_file, options, message):
        with pytest.raises(SparseBNNError, match=message):
            Interpreter(stock_file, **options)

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


class TestRandomInputs:
    def test_by_dtype(self):
        types = [np.dtype(t) for t in (np.float32, np.int8, np.uint8, np.int32, np.bool_)]
        interpreter = SimpleNamespace(input_shapes=[(1, 5000)] * 5, input_types=types)
        floats, int8, uint8, int32, booleans = random_inputs(interpreter)
        assert [a.dtype for a in (floats, int8, uint8, int32, booleans)] == types
        # Standard error of the mean 1/sqrt(5000) = 0.014, of the deviation 0.01.
        assert abs(floats.mean()) < 0.08
        assert abs(floats.std() - 1) < 0.06
        assert (int8.min(), int8.max(), uint8.min(), uint8.max()) == (-128, 127, 0, 255)
        assert not int32.any()
        assert not booleans.any()


class TestBenchmark:
    def test_measures(self, lce_file, stock_file):
        seen = []
        timings = benchmark(
            [lce_file, stock_file],
            runs=25,
            warmup=2,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert [t.model for t in timings] == [str(lce_file), str(stock_file)]
        assert [t.runtime for t in timings] == [f"delegate on {STOCK}", STOCK]
        assert seen[-1] == (54, 54)
        for timing in timings:
            assert 0 < timing.min_ms <= timing.median_ms <= timing.p90_ms
            assert timing.first_ms > 0
            assert timing.spread >= 0
            assert (timing.runs, timing.warmup, timing.num_threads) == (25, 2, 1)
            assert timing.to_dict()["median_ms"] == timing.median_ms
            assert Timing(**timing.to_dict()) == timing

    @pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
    def test_peak_memory_is_the_models_own(self, stock_file, tmp_path):
        weights = np.random.default_rng(0).standard_normal((1000, 4000)).astype(np.float32)
        large = tmp_path / "large.tflite"
        large.write_bytes(stock(lambda x: x @ weights, (1, 1000)))
        small, big = (
            t.peak_memory_bytes for t in benchmark([stock_file, large], runs=1, warmup=1)
        )
        assert 0 < small < weights.nbytes < big

    @pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
    def test_peak_memory_starts_anew_in_the_child_of_a_large_process(self):
        code = "from keras_sparsebnn.runtime.memory import peak_bytes; print(peak_bytes())"
        ballast = np.ones(300 << 20, np.uint8)
        assert peak_bytes() > ballast.nbytes
        child = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        # Python and NumPy take some 30 MB.
        assert 1 << 20 < int(child.stdout) < ballast.nbytes / 3

    def test_peak_memory_where_there_is_no_proc(self, monkeypatch):
        def missing(path):
            raise FileNotFoundError(path)

        monkeypatch.setattr(Path, "read_text", missing)
        assert peak_bytes() is None

    def test_models_take_turns(self, stock_file, tmp_path, monkeypatch):
        other = tmp_path / "other.tflite"
        other.write_bytes(stock_file.read_bytes())
        turns = []
        run = WorkerProcess.run

        def recorded(worker, times):
            turns.append((Path(worker.model).stem, times))
            return run(worker, times)

        monkeypatch.setattr(WorkerProcess, "run", recorded)
        benchmark([stock_file, other], runs=25, warmup=3)
        assert turns == [
            *(("stock", 3), ("other", 3)),
            *[("stock", 10), ("other", 10)] * 2,
            *(("stock", 5), ("other", 5)),
        ]

    def test_a_dying_interpreter_is_reported_and_nothing_is_left_running(
        self, stock_file, monkeypatch
    ):
        processes = []
        popen = subprocess.Popen

        def recorded(*args, **kwargs):
            processes.append(popen(*args, **kwargs))
            return processes[-1]

        monkeypatch.setattr(subprocess, "Popen", recorded)
        with pytest.raises(SparseBNNError, match="its process died with status -9"):
            benchmark(
                [stock_file, stock_file],
                runs=50,
                warmup=1,
                progress=lambda done, total: processes[0].kill(),
            )
        assert [process.poll() for process in processes] == [-9, -9]

    def test_errors_come_back_from_the_worker(self, lce_file, tmp_path):
        damaged = tmp_path / "damaged.tflite"
        damaged.write_bytes(lce_file.read_bytes()[:3000])
        with pytest.raises(SparseBNNError, match=r"a readable \.tflite, .*damaged\.tflite"):
            benchmark([damaged])
        with pytest.raises(SparseBNNError, match=r"No such file or directory \(/nowhere\)"):
            benchmark(["/nowhere"])
        with pytest.raises(SparseBNNError, match='Use runtime "delegate"'):
            benchmark([lce_file], runtime="litert")

    @pytest.mark.parametrize(
        ("models", "options", "message"),
        [
            ([], {}, r"a list of \.tflite paths, got \[\]"),
            ("m.tflite", {}, r"a list of \.tflite paths, got 'm\.tflite'"),
            (["m.tflite"], {"runs": 0}, r"`runs` to be in \[1, 1000000\], got 0"),
            (["m.tflite"], {"warmup": 10**7}, "`warmup` to be in .* got 10000000"),
        ],
    )
    def test_wrong_arguments(self, models, options, message):
        with pytest.raises(SparseBNNError, match=message):
            benchmark(models, **options)
