"""The tests can be collected with the extras [convert] and [test] alone."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {
    *("android_demo", "benchmarks", "delegate", "docs", "examples", "keras_sparsebnn", "tests"),
}
EXTRAS = {
    *("ai_edge_litert", "flatbuffers", "hypothesis", "larq", "larq_compute_engine", "numpy"),
    *("matplotlib", "PIL", "pytest", "scipy", "tensorflow", "tf_keras"),
}


def imported(path: Path) -> set[str]:
    """Packages that a module imports whenever it is imported, up to an `importorskip`."""
    packages = set()
    for statement in ast.parse(path.read_text("utf-8")).body:
        if isinstance(statement, ast.Import):
            packages.update(alias.name.partition(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            packages.add((statement.module or "").partition(".")[0])
        elif "importorskip" in ast.dump(statement):
            break
    return packages


@pytest.mark.smoke
def test_what_tests_import_comes_with_the_extras():
    modules = sorted((ROOT / "tests").rglob("*.py"))
    assert len(modules) > 100
    allowed = OURS | EXTRAS | set(sys.stdlib_module_names)
    others = {str(path.relative_to(ROOT)): imported(path) - allowed for path in modules}
    assert {path: names for path, names in others.items() if names} == {}
