"""Latency over devices."""

from __future__ import annotations

import json

import pytest

from keras_sparsebnn.analysis.device_plots import DevicePoint, latency_over_devices
from keras_sparsebnn.cli import main
from tests.unit.devices.test_reports import REPORT, TIMING


def test_a_name_with_dollars_is_no_formula(tmp_path):
    points = [DevicePoint(name, "a$b$.tflite", 1000, 1.0, 1.5) for name in ("$x$", "$\\a$")]
    path = tmp_path / "devices.png"
    figure = latency_over_devices(points, path=path)
    (legend,) = figure.legends
    names = [text.get_text().replace("\\$", "$") for text in legend.get_texts()]
    assert names == ["$x$", "$\\a$", "a$b$.tflite"]
    assert path.stat().st_size > 1000


@pytest.fixture
def results(tmp_path):
    devices = {}
    for factor, device in enumerate(("local", "ssh:pi"), start=1):
        models = {}
        for size, model in ((50_000, "a.tflite"), (20_000, "b.tflite")):
            timing = {**TIMING, "model": f"out/{model}", "median_ms": factor * size / 1e4}
            models[model] = {**REPORT, "timings": [timing], "file_bytes": size}
        devices[device] = {"facts": {"name": f"board {factor}"}, "models": models}
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"format": 1, "settings": {}, "devices": devices}))
    return path


def test_draws(results, tmp_path, monkeypatch, capsys):
    from keras_sparsebnn.analysis import device_plots

    figures = []
    saved = device_plots.saved
    monkeypatch.setattr(
        device_plots,
        "saved",
        lambda figure, path: figures.append(figure) or saved(figure, path),
    )
    output = tmp_path / "devices.png"
    command = ["plot", str(results), "--kind", "devices", "-o", str(output)]
    command += ["--accuracy", "a.tflite=0.91", "--accuracy", "b.tflite=0.9"]
    assert main(command) == 0
    assert output.read_bytes().startswith(b"\x89PNG")
    size, accuracy = figures[0].axes
    assert (size.get_xlabel(), accuracy.get_xlabel()) == ("file [KiB]", "accuracy [%]")
    lines = [line.get_xydata().tolist() for line in accuracy.lines if len(line.get_xdata()) > 1]
    assert lines[0] == [[90.0, 2.0], [91.0, 5.0]]
    assert lines[1] == [[90.0, 4.0], [91.0, 10.0]]
    labels = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert labels == ["board 1", "board 2", "a.tflite", "b.tflite"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--accuracy", "a.tflite"), "Expected `accuracy` to be a number in [0, 1]"),
        (("--accuracy", "a.tflite=91"), "Expected `accuracy` to be a number in [0, 1], got 91"),
        (("--accuracy", "c.tflite=0.9"), "accuracies of a.tflite, b.tflite, got one of c.tf"),
        (("--kind", "usage", "--accuracy", "a=1"), "--accuracy with --kind devices, got usage"),
    ],
)
def test_refuses(results, tmp_path, capsys, options, expected):
    command = ["plot", str(results), "-o", str(tmp_path / "x.png"), "--kind", "devices"]
    assert main([*command, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
