"""Every fuzzer of the delegate has a zipped seed corpus, packed as the script packs it."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "delegate" / "fuzz"
FUZZERS = sorted(path.stem for path in FUZZ.glob("*.cc"))


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("pack_corpus", FUZZ / "pack_corpus.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_fuzzers():
    assert {"fuzz_delegate", "fuzz_flexbuffer"} <= set(FUZZERS)


@pytest.mark.parametrize("fuzzer", FUZZERS)
def test_a_corpus_is_packed_by_the_script(script, fuzzer):
    path = FUZZ / f"{fuzzer}.zip"
    with zipfile.ZipFile(path) as archive:
        inputs = [archive.read(name) for name in archive.namelist()]
    assert len(set(inputs)) == len(inputs) >= 20
    assert script.pack(reversed(inputs)) == path.read_bytes()


def test_the_command(script, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "inputs"
    folder.mkdir()
    for name, data in {"b": b"22", "a": b"1", "c": b"1"}.items():
        (folder / name).write_bytes(data)
    target = tmp_path / "corpus.zip"
    monkeypatch.setattr("sys.argv", ["pack_corpus.py", str(folder), str(target)])
    assert script.main() == 0
    assert "2 inputs" in capsys.readouterr().out
    with zipfile.ZipFile(target) as archive:
        read = {name: archive.read(name) for name in archive.namelist()}
    assert read == {"0000": b"1", "0001": b"22"}


REGRESSIONS = sorted(FUZZ.glob("regressions/*/*"))


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.name)
def test_a_regression_is_of_a_fuzzer_and_explained(path):
    assert path.parent.name in FUZZERS
    assert f"`{path.parent.name}/{path.name}` |" in (FUZZ / "README.md").read_text()
