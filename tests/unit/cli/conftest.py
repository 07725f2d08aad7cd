"""A trained run, its file, and commands that must fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_sparsebnn.cli import main


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sparsebnn train` leaves, trained for two epochs on the real digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits16"
    options = ["--codewords=16", "--epochs=2", "--seed=1", "--quiet"]  # of the digits
    assert main(["train", *options, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def tflite_file(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("larq_compute_engine")
    path = tmp_path_factory.mktemp("converted") / "model.tflite"
    assert main(["convert", str(run_folder), "-o", str(path), "--verify", "40"]) == 0
    return path


@pytest.fixture
def fails(capsys):
    """Runs a command that must fail: its one line on stderr."""

    def run(*argv: object, status: int = 2) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in argv]) == status
        captured = capsys.readouterr()
        assert captured.out == ""
        lines = captured.err.splitlines()
        assert len(lines) == 1, captured.err
        assert lines[0].startswith("sparsebnn")
        return lines[0]

    return run
