"""docs/results.md is what the recorded runs give, and its pictures are there."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "accuracy" / "write_results.py"
PAGE = ROOT / "docs" / "results.md"


def check() -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False
    )


def test_the_page_is_up_to_date():
    done = check()
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_pictures_are_there():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE.read_text("utf-8"))
    assert len(pictures) >= 3
    for picture in pictures:
        assert (PAGE.parent / picture).read_bytes().startswith(b"\x89PNG"), picture


def test_recorded_runs_say_where_they_come_from():
    paths = sorted((ROOT / "benchmarks" / "accuracy").glob("*/*.seed*.json"))
    assert len(paths) >= 20
    for path in paths:
        data = json.loads(path.read_text("utf-8"))
        environment = data["environment"]
        assert re.fullmatch(r"[0-9a-f]{12}", environment["commit"]), path.name
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", environment["date"]), path.name
        assert environment["versions"]["tensorflow"], path.name
        assert data["config"]["data_dir"] is None, path.name
        assert path.stat().st_size < 8192, path.name
