"""Nothing is left out of `make lint` by accident."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("keras_sparsebnn", "benchmarks", "delegate", "docs", "examples", "tests")


def test_ruff_sees_every_file():
    """A pattern without a slash excludes each folder of that name, however deep."""
    pytest.importorskip("ruff", reason="needs the [dev] extra")
    command = [sys.executable, "-m", "ruff", "check", "--show-files"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seen = {Path(line) for line in shown.stdout.splitlines()}
    files = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    assert len(files) > 400
    assert files <= seen
