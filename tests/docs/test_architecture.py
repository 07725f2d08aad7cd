"""docs/architecture.md and its figures follow the code."""

from __future__ import annotations

import re
from pathlib import Path

from docs.generate import architecture_figure as figure

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "keras_sparsebnn"
IMAGES = ROOT / "docs" / "images"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
# What the delegate's figure has besides its own files.
OUTSIDE = {"model.tflite", "stock runtime"}


def rooms() -> set[str]:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    modules = {path.stem for path in PACKAGE.glob("[a-z]*.py")}
    return folders | modules - {"errors"}


def test_the_figure_has_every_room():
    assert set(figure.ROOMS) == rooms()


def test_the_figure_has_the_imports_of_the_sources(tmp_path):
    assert figure.stale(IMAGES) == [], "run: python -m docs.generate --figures"
    drawn = (IMAGES / "package.svg").read_text("utf-8")
    other = drawn.replace("layers&#45;&gt;quantizers", "layers&#45;&gt;training")
    (tmp_path / "package.svg").write_text(other, "utf-8")
    assert len(figure.stale(tmp_path)) == 1


def test_the_page_has_every_room():
    for room in rooms():
        assert f"| `{room}/` |" in PAGE or f"| `{room}.py` |" in PAGE, room
    for module in PACKAGE.glob("_[a-z]*.py"):
        assert f"`{module.name}`" in PAGE


def test_the_delegates_figure_names_files_that_exist():
    labels = re.findall("<b>([^<]+)</b>", figure.delegate())
    names = {name for label in labels for name in label.split(", ")} - OUTSIDE
    assert len(names) > 5
    for name in names:
        folder = "kernels" if name.endswith("/") else "tflite"
        assert (ROOT / "delegate" / folder / name).exists(), name
