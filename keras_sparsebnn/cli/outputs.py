"""Where a command may write: never onto its input, never onto a run's own files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training.run.folder import RunFolder

__all__ = ["check_output"]


def check_output(
    output: str,
    inputs: Iterable[str] = (),
    kind: Literal["file", "folder", "run"] = "file",
) -> Path:
    """Finds out, before the long work, whether the result may be written.

    Files are compared by what they are, not by how their path is spelled: through symbolic
    and hard links, and in any case.

    Args:
        output: the path that the user gave.
        inputs: the files and folders that the command reads.
        kind: what will be written: a file, files in a folder, or a run, which is a folder that
            may be there already, to be resumed.

    Returns:
        `output` as a path.

    Raises:
        SparseBNNError: `output` is an input, belongs to a run, or cannot be written.
    """
    if not output:
        raise SparseBNNError("Expected the name of an output, got an empty one.")
    path = Path(output)
    (_check_file if kind == "file" else _check_folder)(path)
    inputs = [source for source in inputs if os.path.exists(source)]  # noqa: PTH110
    folders = [Path(source) for source in inputs if Path(source).is_dir()]
    sources = [*map(Path, inputs), *(file for folder in folders for file in _files(folder))]
    for source in sources:
        if path.exists() and path.samefile(source):
            raise SparseBNNError(
                f"Expected an output other than the input {source}, got {path}: it would be "
                "overwritten. Choose another name."
            )
    run, name = _run_of(path, folders, itself=kind == "folder")
    if run is not None:
        raise SparseBNNError(
            f"Expected an output that does not belong to a run, got {path}, {name or 'the run'}"
            f" of {run}. Choose another name."
        )
    return path


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise SparseBNNError(f"Expected the name of a file to write, got the folder {path}.")
    if path.exists() and not path.is_file():
        raise SparseBNNError(f"Expected the name of a file to write, got the device {path}.")
    if not path.absolute().parent.is_dir():
        raise SparseBNNError(
            f"Expected an existing folder to write to, got {path.parent} (for {path}). "
            f"Run: mkdir -p {path.parent}"
        )


def _check_folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise SparseBNNError(f"Expected the name of a folder to write to, got the file {path}.")


def _files(run: Path) -> Iterator[Path]:
    """Every file that a run keeps."""
    for path in RunFolder(run).kept:
        if path.is_dir():
            yield from (file for file in path.rglob("*") if file.is_file())
        elif path.exists():
            yield path


def _run_of(path: Path, folders: list[Path], *, itself: bool) -> tuple[Path | None, str]:
    """The run that a path belongs to, and as which of its files; None if to none."""
    real = Path(os.path.realpath(path))
    for folder in (real, *real.parents):
        is_run = RunFolder(folder).settings.is_file() or (
            folder.exists() and any(folder.samefile(known) for known in folders)
        )
        if not is_run:
            continue
        name = next(iter(real.relative_to(folder).parts), "")
        kept = {path.name for path in RunFolder(folder).kept}
        if name.casefold() in kept or (itself and not name):
            return folder, name
    return None, ""
