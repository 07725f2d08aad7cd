"""Whatever a file says: a result, or one line that says what is wrong; never a crash.

Damaged and odd files go through inspect, compress, expand, quantize_weights, convert_file and
every runtime, in processes of their own, within bounds of time and memory. What this found has
a test of its own where it was mended. KERAS_SPARSEBNN_MUTATIONS says how many files,
KERAS_SPARSEBNN_SEED which.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("mutated_files.py")
SEED = os.environ.get("KERAS_SPARSEBNN_SEED", "20260101")
FILES = int(os.environ.get("KERAS_SPARSEBNN_MUTATIONS", "600"))
BLOCK = 150


def run(first: int, last: int) -> list[str]:
    """What was wrong with these files: a line each."""
    found = []
    while first < last:
        process = subprocess.run(
            [sys.executable, str(SCRIPT), SEED, str(first), str(last)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            errors="replace",  # interpreters print names as they are
            check=False,
        )
        lines = process.stdout.splitlines()
        found += [line for line in lines if line.startswith("wrong")]
        begun = [int(line.split()[1]) for line in lines if line.startswith("file")]
        if process.returncode == 0:
            break
        assert begun, process.stderr
        found.append(f"status {process.returncode} at file {begun[-1]}: {lines[-1]}")
        first = begun[-1] + 1
    return found


@pytest.mark.parametrize("first", range(0, FILES, BLOCK))
def test_mutated_files(first):
    assert not run(first, min(first + BLOCK, FILES))


def test_would_notice(monkeypatch):
    monkeypatch.setenv("SPARSEBNN_TEST_FAIL_AT", "1")
    found = run(0, 3)
    assert len(found) == 2
    assert "AssertionError" in found[0]
    assert found[1].startswith("status -6 at file 1")
