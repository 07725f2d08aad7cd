"""`sparsebnn inspect`: text, JSON, other files."""

from __future__ import annotations

import json

from keras_sparsebnn.cli import main


class TestInspect:
    def test_text(self, tflite_file, capsys):
        assert main(["inspect", str(tflite_file)]) == 0
        out = capsys.readouterr().out
        assert "LceBconv2d" in out
        assert f"{tflite_file.stat().st_size:,}" in out

    def test_json(self, tflite_file, capsys):
        assert main(["inspect", str(tflite_file), "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["file_bytes"] == tflite_file.stat().st_size
        assert report["operators"]["LceBconv2d"] == len(report["binary_layers"]) == 5
        assert all(layer["distinct_codewords"] <= 16 for layer in report["binary_layers"])

    def test_not_a_model(self, tmp_path, fails):
        path = tmp_path / "model.tflite"
        path.write_bytes(b"garbage" * 100)
        assert str(path) in fails("inspect", path)
