"""What scripts import is there, also where they import it only when they run."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("keras_sparsebnn", "benchmarks", "docs")
FOLDERS = ("benchmarks", "docs/generate", "examples", "delegate")
SCRIPTS = [
    ROOT / "demo.py",
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))),
]


def imported(source: str) -> Iterator[tuple[str, str | None]]:
    """Modules of this project that a script imports, and the name that it takes of each."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found = [(node.module, alias.name) for alias in node.names]
        else:
            continue
        yield from (each for each in found if each[0].partition(".")[0] in OURS)


def missing(module: str, name: str | None) -> bool:
    try:
        if name is None or hasattr(importlib.import_module(module), name):
            importlib.import_module(module)
        else:
            importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in OURS:
            pytest.skip(f"needs the package {error.name}")
        return True
    return False


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_imported_is_there(path):
    found = set(imported(path.read_text("utf-8")))
    assert [each for each in sorted(found, key=str) if missing(*each)] == []


def test_finds():
    code = "def f():\n    from keras_sparsebnn.training.atomic import read_json, write_json\n"
    assert {missing(*each) for each in imported(code)} == {True}
    code = "import json\nfrom keras_sparsebnn import converters\nimport benchmarks.speed\n"
    assert [missing(*each) for each in imported(code)] == [False, False]
