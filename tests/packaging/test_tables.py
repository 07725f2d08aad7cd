"""The generated tables are what the records give, and no page names one that there is not."""

import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import pages, tables

ROOT = Path(__file__).resolve().parents[2]
# tests/unit/models/test_cost.py builds all networks once, and checks this one.
SLOW = {"networks"}
TABLES = {name: table for name, table in tables.TABLES.items() if name not in SLOW}


def test_tables_are_up_to_date():
    assert tables.stale(TABLES) == [], "run: python -m docs.generate"


def test_readme_has_the_measured_tables():
    text = (ROOT / "README.md").read_text("utf-8")
    assert {"selection", "size", "network_speed"} <= set(pages.names(text))


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A page, and two tables of which it has one."""
    path = tmp_path / "page.md"
    path.write_text("a\n<!-- table one -->\nold\n<!-- end -->\nb\n")
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "pages", lambda: [path])
    monkeypatch.setattr(tables, "TABLES", {"one": lambda: "new", "two": lambda: "x"})
    return path


def test_what_is_stale_is_named(page):
    assert tables.stale(tables.TABLES) == [
        "page.md: the table one is out of date",
        "the table two is on no page",
    ]
    page.write_text("<!-- table three -->\n<!-- end -->\n")
    assert "page.md: there is no table three" in tables.stale({})


def test_writing_replaces_tables_only(page):
    tables.write(tables.TABLES)
    assert page.read_text() == "a\n<!-- table one -->\nnew\n<!-- end -->\nb\n"
    assert tables.stale({"one": lambda: "new"}) == []


def test_the_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "docs.generate", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--check" in done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("8e41dfbbc940", "commit 8e41dfbbc940"),
        ("8e41dfbbc940-dirty", "commit 8e41dfbbc940 with uncommitted changes"),
    ],
)
def test_uncommitted_changes_are_said(name, said):
    assert pages.commit(name) == said
