"""A device's report is read field by field; one that is not valid is refused."""

from __future__ import annotations

import copy

import pytest

from keras_sparsebnn.devices import reports
from keras_sparsebnn.errors import SparseBNNError

TIMING = {
    **{"model": "x", "runtime": "delegate on litert", "num_threads": 1, "first_ms": 2.0},
    **{"warmup": 1, "runs": 2, "median_ms": 1.5, "p90_ms": 1.6, "min_ms": 1.4},
    **{"spread": 0.1, "peak_memory_bytes": None, "speedup_over_lce": None},
}
NODE = {
    **{"node": 0, "op": "bconv2d", "input_shape": [1, 4, 4, 1], "output_shape": [1]},
    **{"kernel": "xnor neon", "mean_ms": 0.1},
}
REPORT = {
    "machine": "aarch64",
    "platform": "Linux",
    "timings": [TIMING],
    "layers": {"x": [NODE]},
    "surprise": "x" * 1000,
}


def test_keeps_what_is_known_under_our_name():
    checked = reports.checked(copy.deepcopy(REPORT), "models/a.tflite", "ssh:pi")
    assert set(checked) == {"machine", "platform", "timings", "layers"}
    assert checked["timings"] == [{**TIMING, "model": "models/a.tflite"}]
    assert checked["layers"] == {"models/a.tflite": [NODE]}


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("timings",), []),
        (("timings",), [TIMING] * 65),
        (("timings",), {}),
        (("timings", 0), 3),
        (("timings", 0, "median_ms"), float("nan")),
        (("timings", 0, "median_ms"), float("inf")),
        (("timings", 0, "median_ms"), -1),
        (("timings", 0, "median_ms"), 10**400),
        (("timings", 0, "median_ms"), None),
        (("timings", 0, "median_ms"), "1"),
        (("timings", 0, "runs"), True),
        (("timings", 0, "runtime"), 3),
        (("layers",), []),
        (("layers", "x"), {}),
        (("layers", "x", 0, "input_shape"), [1] * 9),
        (("layers", "x", 0, "input_shape"), ["a"]),
        (("machine",), None),
    ],
)
def test_refuses(where, value):
    report = copy.deepcopy(REPORT)
    inner = report
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    with pytest.raises(SparseBNNError, match=r"one with a wrong `\w+` \(ssh:pi\)"):
        reports.checked(report, "a.tflite", "ssh:pi")


def test_texts_are_made_printable():
    report = {**REPORT, "machine": "\x1b[31m" + "a" * 1000}
    assert reports.checked(report, "a", "b")["machine"] == " [31m" + "a" * 295
