"""Checkpoints that are there whole or not at all.

A checkpoint is a folder `step-00000123` with TensorFlow's two checkpoint files, `state.json`,
and `manifest.json`, which has the size and SHA-256 of each. It is written under another name in
the same folder, synced and renamed, so a kill or a full disk leaves the earlier ones intact.
Nothing in it is ever unpickled.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

from keras_sparsebnn._files import fsync_path, read_json, sha256
from keras_sparsebnn._keras import tf
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["CheckpointStore"]

_LOG = logging.getLogger(__name__)
_FOLDER = re.compile(r"step-(\d{8,18})")
_WRITING = ".writing-"
# Plain names only: a manifest must not point out of its folder.
_FILE = re.compile(r"state\.json|variables\.(index|data-\d{5}-of-\d{5})")
_MANIFEST = "manifest.json"
_VERSION = 1


class CheckpointStore:
    """The newest checkpoints of one run.

    Args:
        folder: where the checkpoints lie; made by the first `save`.
        keep: how many to keep, at least 1; 2 so that one is left if the newest is damaged.

    Example:
        >>> import tempfile
        >>> variable = tf.Variable(1.0)
        >>> store = CheckpointStore(Path(tempfile.mkdtemp()) / "checkpoints")
        >>> store.save(tf.train.Checkpoint(v=variable), 7, {"epoch": 0}).name
        'step-00000007'
        >>> _ = variable.assign(2.0)
        >>> store.restore(tf.train.Checkpoint(v=variable))
        {'epoch': 0}
        >>> float(variable)
        1.0
    """

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        if keep < 1:
            raise SparseBNNError(f"Expected `keep` to be at least 1, got {keep}.")
        self.folder = folder
        self.keep = keep

    def steps(self) -> list[int]:
        """The steps of all checkpoints, damaged ones included, in rising order."""
        if not self.folder.is_dir():
            return []
        names = (_FOLDER.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(name[1]) for name in names if name)

    def save(self, checkpoint: tf.train.Checkpoint, step: int, state: dict[str, Any]) -> Path:
        """Saves atomically, then removes all but the newest `keep`.

        Args:
            checkpoint: a `tf.train.Checkpoint`.
            step: the optimizer step; names the folder.
            state: everything that is not a variable, as JSON data.

        Raises:
            SparseBNNError: no room, read-only folder, ...: earlier checkpoints are intact.
        """
        target = self._path(step)
        temporary = self.folder / f"{_WRITING}{target.name}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            temporary.mkdir()
            checkpoint.write(str(temporary / "variables"))
            (temporary / "state.json").write_text(json.dumps(state, allow_nan=False), "utf-8")
            files = {
                path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
                for path in sorted(temporary.iterdir())
            }
            manifest = {"version": _VERSION, "step": step, "files": files}
            (temporary / _MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
            for path in temporary.iterdir():
                fsync_path(path)
            fsync_path(temporary)
            if target.exists():
                # Only a damaged one is ever written again: `restore` passed over it.
                shutil.rmtree(target)
            temporary.rename(target)
            fsync_path(self.folder)
        except (OSError, tf.errors.OpError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            intact = [old for old in self.steps() if old != step]
            kept = f"that of step {intact[-1]} is intact" if intact else "there is none yet"
            raise SparseBNNError(
                f"Expected to write a checkpoint to {target}, got: {_reason(error)}. Earlier "
                f"checkpoints: {kept}. Make room or the folder writable, then run again."
            ) from error
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self._path(old), ignore_errors=True)
        return target

    def restore(self, checkpoint: tf.train.Checkpoint) -> dict[str, Any] | None:
        """Restores the newest intact checkpoint; warns about damaged ones it passes over.

        Args:
            checkpoint: a `tf.train.Checkpoint` of objects whose variables exist already.

        Returns:
            The state given to `save`, or None if there is no checkpoint.

        Raises:
            SparseBNNError: there are checkpoints, but none is intact, or they are of another
                model.
        """
        damaged: list[str] = []
        for step in reversed(self.steps()):
            path = self._path(step)
            try:
                state = _verified_state(path, step)
            except (OSError, SparseBNNError) as error:
                damaged.append(str(error))
                continue
            try:
                status = checkpoint.read(str(path / "variables"))
                status.assert_existing_objects_matched()
            except (AssertionError, ValueError, tf.errors.OpError) as error:
                raise SparseBNNError(
                    f"Expected a checkpoint of this model, got another one ({path}). "
                    "Use another folder, or the version of this package that wrote it."
                ) from error
            for reason in damaged:  # only now: otherwise there is one error, and one line
                _LOG.warning("Passing over a damaged checkpoint: %s", reason)
            return state
        if damaged:
            raise SparseBNNError(
                f"Expected an intact checkpoint, got {len(damaged)} damaged in {self.folder}; "
                f"the newest: {damaged[0].rstrip('.')}. Remove that folder to start from the "
                "beginning."
            )
        return None

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _remove_leftovers(self) -> None:
        """What a killed process left of the checkpoint that it was writing."""
        for path in self.folder.glob(f"{_WRITING}*"):
            shutil.rmtree(path)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    # TensorFlow: "{{function_node ...}} /path/to/file; No space left on device [Op:...]"
    line = str(getattr(error, "message", error)).split("\n")[0]
    return line.split(" [Op:")[0].rsplit("; ", 1)[-1][-200:]


def _verified_state(path: Path, step: int) -> dict[str, Any]:
    """The state of a checkpoint whose every byte is as its manifest says."""
    manifest = read_json(path / _MANIFEST)
    files = manifest.get("files")
    if manifest.get("version") != _VERSION or manifest.get("step") != step:
        raise SparseBNNError(
            f"Expected version {_VERSION} and step {step} in the manifest, got "
            f"{manifest.get('version')!r:.20} and {manifest.get('step')!r:.20} ({path})."
        )
    if not isinstance(files, dict) or not {"state.json", "variables.index"} <= set(files):
        raise SparseBNNError(f"Expected the manifest to list the files, it does not ({path}).")
    for name, entry in files.items():
        if not _FILE.fullmatch(name) or not isinstance(entry, dict):
            raise SparseBNNError(f"Expected a checkpoint's file, got {name!r:.40} ({path}).")
        status = os.lstat(path / name)
        if not stat.S_ISREG(status.st_mode) or status.st_size != entry.get("bytes"):
            raise SparseBNNError(
                f"Expected {entry.get('bytes')!r:.20} bytes, got {status.st_size} "
                f"({path / name})."
            )
        if sha256(path / name) != entry.get("sha256"):
            raise SparseBNNError(f"Expected another SHA-256 ({path / name}).")
    return read_json(path / "state.json")
