"""Pages are read in terminals and in diffs, too: no line is wider than 120 characters."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WIDTH = 120
PAGES = subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()


def wide_lines(page: str) -> list[int]:
    """Numbers of the lines that are too wide; rows of tables and what is generated may be."""
    found, generated = [], False
    for number, line in enumerate(page.splitlines(), 1):
        generated = (generated or line.startswith("<!-- table")) and line != "<!-- end -->"
        if len(line) > WIDTH and not generated and not line.startswith("|"):
            found.append(number)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_line_width(page):
    assert not wide_lines((ROOT / page).read_text("utf-8"))


def test_would_notice():
    wide = "x" * (WIDTH + 1)
    page = f"{wide}\n| {wide} |\n<!-- table a -->\n{wide}\n<!-- end -->\n{wide}\n"
    assert wide_lines(page) == [1, 6]
