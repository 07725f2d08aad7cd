"""The examples in README and docs run, and their commands exist."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keras_sparsebnn.cli import build_parser

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# What examples call model.tflite.
MODEL = ROOT / "tests" / "golden" / "lce_selected.tflite"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARKED = re.compile(r"^<!-- test -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = [
    pytest.param(example, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, example in enumerate(_MARKED.findall(page.read_text(encoding="utf-8")))
]


def blocks(text: str) -> Iterator[str]:
    """The code of a page that may be commands, fenced or indented."""
    for language, block in _FENCE.findall(text):
        if language in ("", "bash", "console", "sh", "shell"):
            yield block
    yield "".join(re.findall(r"^ {4}.*\n", _FENCE.sub("", text), re.MULTILINE))


COMMANDS = [
    line.strip().removeprefix("$ ")
    for page in PAGES
    for block in blocks(page.read_text(encoding="utf-8"))
    for line in block.replace("\\\n", " ").splitlines()
    if re.match(r"(\$ )?(\S*/)?sparsebnn\b", line.strip()) and " ... " not in line
]


def test_is_short_and_shows_how_to_start():
    assert len(README.splitlines()) <= 120
    assert {"make demo", "make test"} <= set(re.findall(r"^make \w+", README, re.MULTILINE))


def test_has_an_example_and_commands():
    assert _MARKED.search(README), "put <!-- test --> on the line before a ```python block"
    assert {shlex.split(command, comments=True)[1] for command in COMMANDS} >= {
        "train",
        "convert",
        "benchmark",
    }


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_runs(example, tmp_path):
    assert len(example.splitlines()) <= 20, "the README promises at most 20 lines"
    shutil.copy(MODEL, tmp_path / "model.tflite")
    subprocess.run([sys.executable, "-c", example], cwd=tmp_path, check=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_parses(command):
    # Parsing only: what the commands do is tested elsewhere.
    _, *arguments = shlex.split(command, comments=True)
    ends = "--list-recipes" in arguments  # as --help does
    with pytest.raises(SystemExit, match="0") if ends else contextlib.nullcontext():
        build_parser().parse_args(arguments)
