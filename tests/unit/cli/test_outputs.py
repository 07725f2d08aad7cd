"""No command writes onto its input or onto a file of a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keras_sparsebnn.cli import main
from keras_sparsebnn.cli.outputs import check_output
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training.run.folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with what a run keeps; nothing in it needs to be loaded here."""
    folder = tmp_path / "run"
    (folder / "checkpoints" / "3").mkdir(parents=True)
    for name in ("run.json", "metrics.json", "model.keras", "checkpoints/3/variables.index"):
        (folder / name).write_text(f"the content of {name}")
    (folder / "model.tflite").write_text("an older conversion")
    return folder


def contents(folder: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def refused(capsys, tmp_path):
    """Runs a command that must say no in one line and leave every file as it is."""

    def check(*argv: object, reason: str) -> None:
        before = contents(tmp_path)
        assert main([str(argument) for argument in argv]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1, captured.err
        assert reason in captured.err
        assert contents(tmp_path) == before

    return check


COMMANDS = {
    "convert": ["convert", "{run}", "-o", "{output}"],
    "convert a file": ["convert", "{run}/model.keras", "-o", "{output}"],
    "plot": ["plot", "{run}", "-o", "{output}"],
    "plot an overlap": ["plot", "{run}", "--kind", "overlap", "-o", "{output}"],
    "experiment": ["experiment", "--plot", "{run}", "-o", "{output}"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["model.keras", "run.json", "checkpoints/3/variables.index"])
def test_a_file_of_the_run(run, refused, command, name):
    argv = [part.format(run=run, output=run / name) for part in COMMANDS[command]]
    refused(*argv, reason=f"got {run / name}")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "spelling", ["symbolic link", "hard link", "linked folder", "dots", "case", "missing"]
)
def test_under_another_name(run, tmp_path, refused, command, spelling):
    output = tmp_path / "model.keras"
    if spelling == "symbolic link":
        output.symlink_to(run / "model.keras")
    elif spelling == "hard link":
        os.link(run / "model.keras", output)
    elif spelling == "linked folder":
        (tmp_path / "other").symlink_to(run)
        output = tmp_path / "other" / "model.keras"
    elif spelling == "dots":
        output = run / "checkpoints" / ".." / ".." / "run" / "model.keras"
    elif spelling == "case":
        output = run / "MODEL.Keras"  # the same file on some file systems
    else:
        output.symlink_to(run / "logs")  # would become a file of the run
    argv = [part.format(run=run, output=output) for part in COMMANDS[command]]
    refused(*argv, reason=f"got {output}")


def test_a_run_that_is_no_input(run, tmp_path, refused):
    source = tmp_path / "model.tflite"
    source.write_bytes(b"\0\0\0\0TFL3")
    refused("convert", source, "-o", run / "metrics.json", reason="metrics.json of")
    refused("convert", source, "-o", source, reason=f"other than the input {source}")


def test_folders(run, tmp_path, refused):
    inside = run / "checkpoints" / "new"
    refused("train", "--out", inside, reason="does not belong to a run")
    refused("train", "--out", run, "--teacher", run, reason=f"other than the input {run}")
    refused("train", "--out", run / "run.json", reason="got the file")
    matrix = tmp_path / "matrix.json"
    matrix.write_text("{}")
    refused("experiment", matrix, "--out", inside, reason="does not belong to a run")
    refused("experiment", matrix, "--out", run, reason="the run of")
    refused("experiment", matrix, "--out", matrix, reason="got the file")
    refused(
        *("experiment", matrix, "--out", tmp_path / "results", "--runs-dir", run / "logs"),
        reason="does not belong to a run",
    )


def test_what_else_cannot_be_written(tmp_path, refused):
    source = tmp_path / "model.tflite"
    source.write_bytes(b"\0\0\0\0TFL3")
    refused("convert", source, "-o", os.devnull, reason="got the device")
    refused("convert", source, "-o", "", reason="an empty one")
    refused("train", "--out", "", reason="an empty one")


def test_other_names_in_a_run_are_free(run):
    assert check_output(str(run / "model.tflite"), [str(run)]) == run / "model.tflite"
    assert check_output(str(run / "new.png"), [str(run)]) == run / "new.png"
    assert check_output(str(run), [], "run") == run  # to be resumed
    assert check_output(str(run.parent / "new"), [str(run)], "run") == run.parent / "new"
    with pytest.raises(SparseBNNError, match="does not belong to a run"):
        check_output(str(run / "teacher" / "x"), [], "run")


def test_every_file_of_a_run_is_known(tmp_path):
    options = "--dataset synthetic/8 --epochs 1 --codewords 16 --teacher auto --quiet"
    small = ("--batch-size", "4", "--set", 'model_options={"widths": [8, 8], "stem_stride": 8}')
    assert main(["train", *options.split(), *small, "--out", str(tmp_path / "run")]) == 0
    folder = RunFolder(tmp_path / "run")
    assert set(folder.path.iterdir()) <= set(folder.kept)
