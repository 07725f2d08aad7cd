"""The documentation site: builds strictly, shows every public name, loads nothing else."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

import keras_sparsebnn

pytest.importorskip("mkdocs", reason="needs the [docs] extra")

ROOT = Path(__file__).resolve().parents[2]
NAMESPACES = [
    name
    for name in keras_sparsebnn.__all__
    if isinstance(getattr(keras_sparsebnn, name), ModuleType)
]


class _Page(HTMLParser):
    """Anchors of a page, and what a browser loads without being asked."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        self.loaded += [values[name] for name in ("src", "srcset", "data") if name in values]
        if tag == "link":
            self.loaded.append(values.get("href", ""))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    return {str(path.relative_to(site)): _Page(path) for path in site.rglob("*.html")}


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_shows_every_public_name(namespace, pages):
    module = importlib.import_module(getattr(keras_sparsebnn, namespace).__name__)
    wanted = {f"{module.__name__}.{name}" for name in module.__all__}
    assert wanted <= pages[f"api/{namespace}.html"].anchors


def test_shows_every_name_at_the_top(pages):
    functions = set(keras_sparsebnn.__all__) - set(NAMESPACES) - {"__version__"}
    wanted = {f"keras_sparsebnn.{name}" for name in functions}
    assert wanted
    assert wanted <= pages["api/index.html"].anchors


def test_loads_nothing_from_other_hosts(pages):
    assert len(pages) > 20
    loaded = {page: [u for u in p.loaded if "//" in u] for page, p in pages.items()}
    assert not {page: urls for page, urls in loaded.items() if urls}
