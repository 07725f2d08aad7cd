"""The light runtime with the native delegate; its kernels have tests of their own."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.cli import main
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import Interpreter, benchmark, delegate_library, profile
from keras_sparsebnn.runtime import delegate as delegate_module
from keras_sparsebnn.runtime import interpreter as interpreter_module
from keras_sparsebnn.runtime.benchmark import comparable_runtimes
from keras_sparsebnn.runtime.interpreter import choose_runtime

GOLDEN = Path(__file__).parents[2] / "golden"
LCE_FILE = GOLDEN / "lce_selected.tflite"
SUBBIT_FILE = GOLDEN / "subbit_v1.tflite"
FLOAT_FILE = GOLDEN / "float_only.tflite"

LCE_OPS = ["LceBconv2d", "LceQuantize"]
SUBBIT_OPS = [*LCE_OPS, "SparsebnnBconv2d"]


@pytest.fixture
def no_library(monkeypatch, tmp_path):
    path = tmp_path / "libsparsebnn_delegate.so"
    monkeypatch.setattr(delegate_module, "_LIBRARY", path)
    return path


@pytest.fixture
def x(rng):
    return rng.standard_normal((5, 4, 4, 32)).astype(np.float32)


class TestChoice:
    @pytest.mark.parametrize(
        ("runtime", "ops", "expected"),
        [
            ("auto", [], "litert"),
            ("auto", ["TFLite_Detection_PostProcess"], "litert"),
            ("auto", LCE_OPS, "delegate"),
            ("auto", SUBBIT_OPS, "delegate"),
            ("delegate", [], "delegate"),
            ("lce", [], "lce"),
            ("lce", LCE_OPS, "lce"),
            ("litert", [], "litert"),
        ],
    )
    def test_everything_installed(self, runtime, ops, expected):
        assert choose_runtime(runtime, ops) == expected

    @pytest.mark.parametrize(
        ("stock", "lce", "ops", "expected"),
        [
            (False, True, LCE_OPS, "lce"),
            (True, False, LCE_OPS, "delegate"),
            # Neither: the error is about what a board installs.
            (False, False, LCE_OPS, "delegate"),
            (False, True, SUBBIT_OPS, "delegate"),
        ],
    )
    def test_something_missing(self, monkeypatch, stock, lce, ops, expected):
        monkeypatch.setattr(interpreter_module, "stock_installed", lambda: stock)
        monkeypatch.setattr(interpreter_module, "lce_installed", lambda: lce)
        assert choose_runtime("auto", ops) == expected

    def test_no_library(self, monkeypatch, no_library):
        monkeypatch.setattr(interpreter_module, "lce_installed", lambda: True)
        assert choose_runtime("auto", LCE_OPS) == "lce"
        assert choose_runtime("auto", SUBBIT_OPS) == "delegate"

    def test_lce_does_not_know_sub_bit_files(self):
        with pytest.raises(
            SparseBNNError, match=r'runtime "lce", got SparsebnnBconv2d \(m\).*"delegate"'
        ):
            choose_runtime("lce", SUBBIT_OPS, "m")


class TestInterpreter:
    @pytest.mark.parametrize("file", [LCE_FILE, SUBBIT_FILE], ids=["lce", "subbit"])
    @pytest.mark.parametrize("kernel", ["auto", "xnor", "codebook", "reference"])
    def test_equals_lce(self, file, kernel, x):
        pytest.importorskip("larq_compute_engine")
        expected = Interpreter(LCE_FILE, runtime="lce").predict(x)
        for num_threads in (1, 3):
            interpreter = Interpreter(file, kernel=kernel, num_threads=num_threads)
            assert interpreter.runtime.startswith("delegate on ")
            # One multiplication and one addition in float32, in one order: 1 ulp.
            np.testing.assert_array_max_ulp(interpreter.predict(x), expected, maxulp=1)

    def test_isas_give_the_same_bits(self, x):
        scalar = Interpreter(SUBBIT_FILE, isa="scalar").predict(x)
        np.testing.assert_array_equal(Interpreter(SUBBIT_FILE).predict(x), scalar)

    def test_pins_reach_the_delegate(self):
        for kernel in ("xnor", "codebook"):
            interpreter = Interpreter(LCE_FILE, kernel=kernel, isa="scalar", profile=True)
            kernels = [n["kernel"] for n in interpreter.profile() if n["op"] == "LceBconv2d"]
            assert len(kernels) == 2
            assert all(kernel in name and "scalar" in name for name in kernels)

    def test_profile_counts_runs(self, x):
        interpreter = Interpreter(LCE_FILE, profile=True)
        interpreter.predict(x)
        before = interpreter.profile()
        interpreter.predict(x)
        after = interpreter.profile()
        assert [n["op"] for n in after] == ["LceQuantize", "LceBconv2d", "LceBconv2d"]
        assert [n["node"] for n in after] == [0, 1, 2]
        assert [n["input"] for n in after] == [[1, 4, 4, 32], [1, 4, 4, 1], [1, 4, 4, 1]]
        for old, new in zip(before, after, strict=True):
            assert (old["runs"], new["runs"]) == (5, 10)
            assert 0 < old["ns"] < new["ns"]

    def test_profile_of_two_interpreters_at_once(self, x):
        first, second = (Interpreter(LCE_FILE, profile=True) for _ in range(2))
        first.predict(x)
        assert [n["runs"] for n in first.profile()] == [5, 5, 5]
        assert [n["runs"] for n in second.profile()] == [0, 0, 0]

    def test_profile_has_to_be_asked_for(self):
        with pytest.raises(SparseBNNError, match=r"made with profile=True, got one without"):
            Interpreter(LCE_FILE).profile()

    def test_no_library(self, no_library):
        with pytest.raises(SparseBNNError, match=r"found none\. .*make delegate; .*wheel"):
            delegate_library()
        with pytest.raises(SparseBNNError, match=str(no_library)):
            Interpreter(SUBBIT_FILE)

    def test_a_library_that_is_none(self, no_library):
        no_library.write_bytes(b"not an ELF file")
        with pytest.raises(SparseBNNError, match=r"to load the delegate, got: .*too short"):
            Interpreter(LCE_FILE)

    def test_refused_options_come_back_as_one_line(self):
        other = "avx2" if platform.machine() == "aarch64" else "neon"
        with pytest.raises(SparseBNNError, match=f"isa to be .* got '{other}'") as caught:
            Interpreter(LCE_FILE, isa=other)
        assert "\n" not in str(caught.value)

    def test_the_library_is_the_packages(self):
        assert delegate_library().parent == Path(delegate_module.__file__).parent


class TestBenchmark:
    def test_compares_what_can_run_a_file(self, monkeypatch):
        pytest.importorskip("larq_compute_engine")
        assert comparable_runtimes(LCE_FILE) == ["delegate", "lce"]
        assert comparable_runtimes(SUBBIT_FILE) == ["delegate"]
        assert comparable_runtimes(FLOAT_FILE) == ["litert"]
        # The function of the same name hides the module.
        module = sys.modules["keras_sparsebnn.runtime.benchmark"]
        monkeypatch.setattr(module, "lce_installed", lambda: False)
        assert comparable_runtimes(LCE_FILE) == ["delegate"]

    def test_runtimes_on_one_file(self):
        pytest.importorskip("larq_compute_engine")
        timings = benchmark([LCE_FILE], runtime=("lce", "delegate"), runs=3, warmup=1)
        assert [t.runtime.split()[0] for t in timings] == ["lce", "delegate"]

    def test_profile(self):
        nodes = profile(LCE_FILE, runs=4, warmup=1)
        assert [n.op for n in nodes] == ["LceQuantize", "LceBconv2d", "LceBconv2d"]
        assert nodes[0].input_shape == (1, 4, 4, 32)
        assert nodes[2].output_shape == (1, 4, 4, 32)
        # Far above what a 4x4 image takes, far below what all runs together take in ns.
        assert all(0 < n.mean_ms < 100 for n in nodes)
        assert json.loads(json.dumps(nodes[1].to_dict()))["kernel"] == nodes[1].kernel

    def test_profile_needs_something_to_profile(self, tmp_path):
        with pytest.raises(SparseBNNError, match=r"No such file|Expected"):
            profile(tmp_path / "none.tflite")
        assert profile(FLOAT_FILE, runs=1, warmup=1) == []
        with pytest.raises(SparseBNNError, match=r"`runs` to be in \[1, 1000000\], got 0"):
            profile(LCE_FILE, runs=0)


class TestCommand:
    def test_table(self, capsys):
        pytest.importorskip("larq_compute_engine")
        assert main(["benchmark", str(LCE_FILE), "--runs", "3", "--warmup", "1"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].endswith("speed / LCE")
        assert lines[1].startswith(f"{LCE_FILE}  delegate on ")
        assert lines[2].split()[1] == "lce"
        assert lines[2].endswith(" 1.00")
        assert f"Nodes of {LCE_FILE} that the delegate runs:" in lines
        convolutions = [line for line in lines if "LceBconv2d" in line]
        assert len(convolutions) == 2
        assert all("codebook" in line or "xnor" in line for line in convolutions)

    def test_json(self, capsys):
        pytest.importorskip("larq_compute_engine")
        command = ["benchmark", str(LCE_FILE), str(SUBBIT_FILE), "--runs", "2", "--json"]
        assert main([*command, "--warmup", "1", "--num-threads", "2"]) == 0
        report = json.loads(capsys.readouterr().out)
        ours, lce, subbit = report["timings"]
        assert ours["speedup_over_lce"] == lce["median_ms"] / ours["median_ms"]
        assert lce["speedup_over_lce"] == 1
        assert subbit["speedup_over_lce"] is None
        assert ours["num_threads"] == 2
        assert sorted(report["layers"]) == sorted(map(str, (LCE_FILE, SUBBIT_FILE)))
        assert [n["op"] for n in report["layers"][str(SUBBIT_FILE)]] == [
            "LceQuantize",
            "SparsebnnBconv2d",
            "SparsebnnBconv2d",
        ]

    def test_one_runtime(self, capsys):
        command = ["benchmark", str(LCE_FILE), "--runs", "2", "--warmup", "1"]
        assert main([*command, "--runtime", "lce"]) == 0
        out = capsys.readouterr().out
        assert "delegate" not in out
