"""`sparsebnn benchmark`: the table, JSON, wrong options."""

from __future__ import annotations

import json

from keras_sparsebnn.cli import main


class TestBenchmark:
    def test_table(self, tflite_file, capsys):
        assert main(["benchmark", str(tflite_file), "--runs", "3", "--warmup", "1"]) == 0
        out = capsys.readouterr().out
        header, delegate, lce, _, note, *_ = out.splitlines()
        assert header.split()[:4] == ["model", "runtime", "median", "ms"]
        assert delegate.split()[:2] == [str(tflite_file), "delegate"]
        assert lce.split()[:2] == [str(tflite_file), "lce"]
        assert note.startswith("3 runs after 1 warm-up runs, 1 thread(s), ")

    def test_json(self, tflite_file, capsys):
        command = ["benchmark", str(tflite_file), str(tflite_file), "--runs", "2", "--json"]
        assert main([*command, "--threads", "2"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert [timing["runs"] for timing in report["timings"]] == [2, 2, 2, 2]
        assert report["timings"][0]["num_threads"] == 2
        assert report["machine"]

    def test_wrong_options(self, tflite_file, fails):
        assert "`runs` to be in [1, 1000000], got 0" in fails(
            "benchmark", tflite_file, "--runs", 0
        )
        assert "`num_threads`" in fails("benchmark", tflite_file, "--threads", 0)
