"""`benchmark`: interleaved timings in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import (
    Timing,
    benchmark,
)
from keras_sparsebnn.runtime.worker_process import WorkerProcess
from tests.unit.runtime.stock_models import STOCK, stock


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

    def test_models_take_turns(self, stock_file, tmp_path, monkeypatch):
        other = tmp_path / "other.tflite"
        other.write_bytes(stock_file.read_bytes())
        turns = []
        run = WorkerProcess.run

        def recorded(worker, times):
            turns.append((Path(worker.model).stem, times))
            return run(worker, times)

        monkeypatch.setattr(WorkerProcess, "run", recorded)
        timings = benchmark([stock_file, other], num_threads=[1, 2], runs=25, warmup=3)
        assert [(Path(t.model).stem, t.num_threads) for t in timings] == [
            *(("stock", 1), ("stock", 2)),
            *(("other", 1), ("other", 2)),
        ]
        assert turns == [(t, n) for n in (3, 10, 10, 5) for t in ["stock"] * 2 + ["other"] * 2]

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
            (["m.tflite"], {"num_threads": []}, "`num_threads` to be a number or several"),
            (["m.tflite"], {"num_threads": [2.5]}, r"`num_threads` to be in .* got 2\.5"),
            (["m.tflite"], {"runs": "3"}, "`runs` to be in .* got '3'"),
        ],
    )
    def test_wrong_arguments(self, models, options, message):
        with pytest.raises(SparseBNNError, match=message):
            benchmark(models, **options)
