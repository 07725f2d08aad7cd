"""tests/slow.txt names tests that exist, and only some of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _mark_slow():
    spec = importlib.util.spec_from_file_location("mark_slow", ROOT / "tests" / "mark_slow.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_names_tests_that_exist():
    module = _mark_slow()
    assert module.listed()
    gone = [test for test in module.listed() if not module.exists(test)]
    assert not gone, "run: make test slow-tests"


def test_reads_a_report(tmp_path):
    case = '<testcase classname="{0}" name="{1}" time="{2}"/>'
    cases = [
        case.format("tests.unit.test_a.TestB", "test_c[1]", 1.5),
        case.format("tests.unit.test_a.TestB", "test_c[2]", 1),
        case.format("tests.unit.test_a", "test_d", 0.25),
    ]
    report = tmp_path / "tests.xml"
    report.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    assert dict(_mark_slow().durations(report)) == {
        "tests/unit/test_a.py::TestB::test_c": 2.5,
        "tests/unit/test_a.py::test_d": 0.25,
    }
