"""Checkpoints: whole or not at all, and never trusted unread."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from keras_sparsebnn import _files
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training import CheckpointStore


@pytest.fixture
def variable() -> tf.Variable:
    return tf.Variable(0.0)


@pytest.fixture
def store(tmp_path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints")


def save(store: CheckpointStore, variable: tf.Variable, step: int) -> Path:
    variable.assign(float(step))
    return store.save(tf.train.Checkpoint(v=variable), step, {"epoch": step // 10})


def restore(store: CheckpointStore, variable: tf.Variable) -> dict | None:
    variable.assign(-1.0)
    return store.restore(tf.train.Checkpoint(v=variable))


class TestStore:
    def test_nothing_there(self, store, variable):
        assert restore(store, variable) is None
        assert float(variable) == -1
        assert store.steps() == []

    def test_the_newest_is_restored_and_two_are_kept(self, store, variable):
        for step in (7, 100_000_000, 12):
            save(store, variable, step)
        assert store.steps() == [12, 100_000_000]
        assert restore(store, variable) == {"epoch": 10_000_000}
        assert float(variable) == 100_000_000

    def test_only_whole_checkpoints_have_their_name(self, store, variable, monkeypatch):
        """At the moment of renaming, everything is in the temporary folder already."""
        save(store, variable, 1)
        seen = []

        def rename(self, target):
            seen.append((self.name, sorted(p.name for p in self.iterdir()), target.exists()))
            return self.replace(target)

        monkeypatch.setattr(Path, "rename", rename)
        save(store, variable, 2)
        files = ["manifest.json", "state.json", "variables.data-00000-of-00001"]
        assert seen == [(".writing-step-00000002", [*files, "variables.index"], False)]

    def test_leftovers_of_a_killed_process_are_removed(self, store, variable):
        leftover = store.folder / ".writing-step-00000001"
        leftover.mkdir(parents=True)
        (leftover / "variables.index").write_bytes(b"half")
        assert restore(store, variable) is None
        save(store, variable, 3)
        assert [path.name for path in store.folder.iterdir()] == ["step-00000003"]

    def test_optimizer_and_metrics(self, store, seeded):
        def build():
            model = keras.Sequential([keras.layers.Dense(2, input_shape=(3,))])
            optimizer = keras.optimizers.Adam(0.1)
            optimizer.build(model.trainable_variables)
            return model, optimizer, keras.metrics.Mean()

        model, optimizer, metric = build()
        for _ in range(3):
            gradients = [tf.ones_like(v) for v in model.trainable_variables]
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        metric.update_state(5.0)
        parts = {"model": model, "optimizer": optimizer, "metric": metric}
        store.save(tf.train.Checkpoint(**parts), 3, {})
        again = dict(zip(parts, build(), strict=True))
        store.restore(tf.train.Checkpoint(**again))
        for ours, theirs in zip(optimizer.variables, again["optimizer"].variables, strict=True):
            assert ours.numpy().tobytes() == theirs.numpy().tobytes()
        assert int(again["optimizer"].iterations) == 3
        assert float(again["metric"].result()) == 5

    def test_of_another_model(self, store, variable):
        save(store, variable, 1)
        other = tf.train.Checkpoint(w=tf.Variable([1.0, 2.0]))
        with pytest.raises(SparseBNNError, match="checkpoint of this model, got another"):
            store.restore(other)
        with pytest.raises(SparseBNNError, match="checkpoint of this model, got another"):
            store.restore(tf.train.Checkpoint(v=tf.Variable([1.0, 2.0])))

    def test_keep_nothing(self, tmp_path):
        with pytest.raises(SparseBNNError, match="`keep` to be at least 1, got 0"):
            CheckpointStore(tmp_path, keep=0)


def _edit_manifest(change):
    def damage(path: Path) -> None:
        manifest = json.loads((path / "manifest.json").read_text())
        change(manifest)
        (path / "manifest.json").write_text(json.dumps(manifest))

    return damage


def _add_file(name):
    return _edit_manifest(lambda m: m["files"].update({name: {"bytes": 0, "sha256": ""}}))


def _flip_a_bit(path: Path) -> None:
    (file,) = path.glob("variables.data*")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _truncate(path: Path) -> None:
    (file,) = path.glob("variables.data*")
    file.write_bytes(file.read_bytes()[:-1])


def _link(path: Path) -> None:
    (file,) = path.glob("variables.data*")
    file.rename(path.parent / "elsewhere")
    file.symlink_to(path.parent / "elsewhere")


DAMAGE = {
    "bit flipped": (_flip_a_bit, "another SHA-256"),
    "truncated": (_truncate, "Expected .* bytes, got"),
    "file lost": (lambda path: (path / "state.json").unlink(), "No such file"),
    "symbolic link": (_link, "Expected .* bytes, got"),
    "no manifest": (lambda path: (path / "manifest.json").unlink(), "No such file"),
    "no JSON": (lambda path: (path / "manifest.json").write_text("{"), "Expected JSON"),
    "deep JSON": (
        lambda path: (path / "manifest.json").write_text("[" * 10**5),
        "Expected JSON",
    ),
    "no object": (lambda path: (path / "manifest.json").write_text("[]"), "a JSON object"),
    "other version": (_edit_manifest(lambda m: m.update(version=2)), "Expected version 1"),
    "other step": (_edit_manifest(lambda m: m.update(step=1)), "step 20 in the manifest"),
    "no files": (_edit_manifest(lambda m: m.update(files=[])), "manifest to list the files"),
    "nothing listed": (_edit_manifest(lambda m: m["files"].clear()), "manifest to list"),
    "traversal": (_add_file("../step-00000010/state.json"), "Expected a checkpoint's file"),
    "absolute path": (_add_file("/etc/passwd"), "Expected a checkpoint's file"),
    "entry is no object": (
        _edit_manifest(lambda m: m["files"].update({"state.json": 3})),
        "Expected a checkpoint's file",
    ),
}


class TestDamage:
    @pytest.mark.parametrize("kind", DAMAGE)
    def test_the_one_before_is_used_with_one_line_of_warning(
        self, store, variable, caplog, kind
    ):
        damage, message = DAMAGE[kind]
        save(store, variable, 10)
        damage(save(store, variable, 20))
        assert restore(store, variable) == {"epoch": 1}
        assert float(variable) == 10
        (record,) = caplog.records
        assert "Passing over a damaged checkpoint" in record.getMessage()
        assert "\n" not in record.getMessage()
        assert re.search(message, record.getMessage())

    def test_a_damaged_one_is_written_anew(self, store, variable):
        save(store, variable, 10)
        _truncate(save(store, variable, 20))
        save(store, variable, 20)
        assert restore(store, variable) == {"epoch": 2}

    def test_all_damaged_is_one_error_and_no_warning(self, store, variable, caplog):
        for step in (10, 20):
            _flip_a_bit(save(store, variable, step))
        with pytest.raises(SparseBNNError, match=r"got 2 damaged .*: Expected another SHA-256"):
            restore(store, variable)
        assert caplog.records == []


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a file system needs root on Linux")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


class TestNoRoom:
    def test_full_disk(self, small_disk):
        """Real: the second checkpoint does not fit beside the first."""
        store, variable = (
            CheckpointStore(small_disk / "checkpoints"),
            tf.Variable([1.0] * 35_000),
        )
        checkpoint = tf.train.Checkpoint(v=variable)
        store.save(checkpoint, 10, {"epoch": 1})
        variable.assign(variable * 2)
        with pytest.raises(SparseBNNError, match=r"got: .*No space left.* step 10 is intact"):
            store.save(checkpoint, 20, {"epoch": 2})
        assert [path.name for path in store.folder.iterdir()] == ["step-00000010"]
        assert store.restore(checkpoint) == {"epoch": 1}
        assert float(variable[0]) == 1

    def test_read_only_disk(self, small_disk, variable):
        store = CheckpointStore(small_disk / "checkpoints")
        save(store, variable, 10)
        remount = ["mount", "-o", "remount,ro", str(small_disk)]
        subprocess.run(remount, check=True)
        with pytest.raises(SparseBNNError, match=r"Read-only file system.* step 10 is intact"):
            save(store, variable, 20)
        assert restore(store, variable) == {"epoch": 1}

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
    @pytest.mark.parametrize("moment", ["mkdir", "write_text", "rename"])
    def test_any_moment(self, store, variable, monkeypatch, code, moment):
        """Simulated, where nothing can be mounted."""
        save(store, variable, 10)

        def fail(*args, **kwargs):
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(Path, moment, fail)
            with pytest.raises(SparseBNNError, match=os.strerror(code)) as caught:
                save(store, variable, 20)
        assert "step 10 is intact" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert [path.name for path in store.folder.iterdir()] == ["step-00000010"]
        assert restore(store, variable) == {"epoch": 1}


class TestAtomicFiles:
    def test_written_and_read(self, tmp_path):
        _files.write_json(tmp_path / "a.json", {"x": [1, 2.5, None]})
        _files.write_json(tmp_path / "a.json", {"x": 1})
        assert _files.read_json(tmp_path / "a.json") == {"x": 1}
        assert [path.name for path in tmp_path.iterdir()] == ["a.json"]

    def test_a_failure_leaves_the_old_file(self, tmp_path):
        _files.write_json(tmp_path / "a.json", {"x": 1})

        def write_half() -> None:
            with _files.replaced(tmp_path / "a.json") as temporary:
                temporary.write_text('{"x"')
                raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(OSError, match="No space left"):
            write_half()
        assert _files.read_json(tmp_path / "a.json") == {"x": 1}
        assert [path.name for path in tmp_path.iterdir()] == ["a.json"]

    def test_absurd_sizes_are_not_read(self, tmp_path):
        with (tmp_path / "a.json").open("wb") as file:
            file.truncate(_files.MAX_JSON_BYTES + 1)
        with pytest.raises(SparseBNNError, match="JSON file of at most"):
            _files.read_json(tmp_path / "a.json")

    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "a.json")
        with pytest.raises(SparseBNNError, match="JSON file of at most"):
            _files.read_json(tmp_path / "a.json")
