"""Several devices, pauses to cool down, results that go on."""

from __future__ import annotations

import json

import pytest

from keras_sparsebnn.devices import campaign
from keras_sparsebnn.devices.campaign import measure_devices
from keras_sparsebnn.devices.device import Device, Settings
from keras_sparsebnn.devices.local import LocalShell
from keras_sparsebnn.devices.results import Results, read
from keras_sparsebnn.errors import SparseBNNError
from tests.unit.devices.test_reports import REPORT


class Warming(Device):
    """Gets 5 degrees warmer by every model and 3 cooler by every look at it."""

    def __init__(self, spec, broken=()):
        super().__init__(LocalShell())
        self.spec, self.broken = spec, broken
        self.degrees, self.done, self.events = 40.0, [], []

    def facts(self):
        self.degrees = max(40.0, self.degrees - 3)
        self.events.append(self.degrees)
        return {"name": f"board {self.spec}", "temperature_c": self.degrees}

    def prepare(self, models):
        self.events.append("prepare")

    def run(self, model, settings, progress):
        if model.name in self.broken:
            raise SparseBNNError(f"Expected luck, got none ({self.spec}).")
        progress(1, 1)
        self.degrees += 20
        self.events.append(model.name)
        return REPORT

    def clean(self):
        self.events.append("clean")


@pytest.fixture
def models(tmp_path):
    paths = [tmp_path / name for name in ("a.tflite", "b.tflite")]
    for path in paths:
        path.write_text(path.name)
    return paths


def test_cools_down_between_models(models, monkeypatch):
    monkeypatch.setattr(campaign, "POLL", 0.0)
    device = Warming("x")
    results = Results(Settings().to_dict())
    assert measure_devices([device], models, Settings(), results, cooldown=60) == {}
    at = device.events.index
    assert device.events[:3] == [40.0, "prepare", "a.tflite"]
    assert device.events[at("b.tflite") - 1] <= 40 + campaign.WARMER
    assert device.events[-1] == "clean"
    entries = list(results.to_dict()["devices"]["x"]["models"].values())
    assert entries[0]["temperature_c"] == [40.0, 57.0]
    assert entries[1]["temperature_c"][0] <= 42


def test_a_failure_stops_one_device_and_the_next_call_goes_on(models, tmp_path):
    path = tmp_path / "results.json"
    devices = [Warming("x"), Warming("y", broken=("b.tflite",))]
    results = Results(Settings().to_dict(), path)
    failures = measure_devices(devices, models, Settings(), results)
    assert failures == {"y": "Expected luck, got none (y)."}
    kept = {(one.device, one.report["timings"][0]["model"]) for one in read(path)}
    assert kept == {*(("x", str(model)) for model in models), ("y", str(models[0]))}
    mended = [Warming("x"), Warming("y")]
    again = Results(Settings().to_dict(), path)
    assert measure_devices(mended, models, Settings(), again) == {}
    assert mended[0].events == []
    assert "a.tflite" not in mended[1].events
    assert "b.tflite" in mended[1].events
    assert len(read(path)) == 4
    with pytest.raises(SparseBNNError, match="results of the same settings, got others"):
        Results(Settings(runs=3).to_dict(), path)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"format": 2, "settings": {}, "devices": {}},
        {"format": 1, "settings": [], "devices": {}},
        {"format": 1, "settings": {}, "devices": []},
        {"format": 1, "settings": {}, "devices": {"x": 3}},
        {"format": 1, "settings": {}, "devices": {"x": {"facts": {}, "models": []}}},
        {"format": 1, "settings": {}, "devices": {"x": {"facts": {}, "models": {"y": {}}}}},
    ],
)
def test_files_of_something_else(data, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(data))
    with pytest.raises(SparseBNNError, match="Expected results of `sparsebnn benchmark --dev"):
        read(path)


def test_reports_in_a_file_are_checked_too(tmp_path):
    path = tmp_path / "results.json"
    entry = {"file_bytes": 3, "timings": [{}]}
    devices = {"x": {"facts": {}, "models": {"y": entry}}}
    path.write_text(json.dumps({"format": 1, "settings": {}, "devices": devices}))
    with pytest.raises(SparseBNNError, match="one with a wrong"):
        read(path)
