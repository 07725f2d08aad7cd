"""Folders that one process holds at a time, and files that are whole or not there."""

import contextlib
import os
import subprocess
import sys
import threading

import pytest

from keras_sparsebnn._files import locked, replaced
from keras_sparsebnn.errors import SparseBNNError


def test_a_folder_that_is_held_is_refused_or_waited_for(tmp_path):
    with locked(tmp_path):
        with pytest.raises(SparseBNNError, match="Expected no other process to work in"):
            locked(tmp_path).__enter__()
        with pytest.raises(SparseBNNError, match="Expected no other process to work in"):
            locked(tmp_path, patience=0.1).__enter__()

    holder, release = locked(tmp_path), threading.Event()
    holder.__enter__()

    def let_go() -> None:
        release.wait()
        holder.__exit__(None, None, None)

    thread = threading.Thread(target=let_go)
    thread.start()
    threading.Timer(0.3, release.set).start()
    with locked(tmp_path, patience=60):
        assert release.is_set()
    thread.join()


class TestReplaced:
    def test_becomes_the_file_on_success_only(self, tmp_path):
        path = tmp_path / "a.json"
        with replaced(path) as temporary:
            temporary.write_text("1")
            assert not path.exists()
            assert temporary.suffix == ".json"
        with contextlib.suppress(RuntimeError), replaced(path) as temporary:
            temporary.write_text("2")
            raise RuntimeError
        assert path.read_text() == "1"
        assert list(tmp_path.iterdir()) == [path]

    def test_of_two_writers_the_last_wins_whole(self, tmp_path):
        path = tmp_path / "a.json"
        first, second = threading.Event(), threading.Event()

        def write():
            with replaced(path) as temporary:
                temporary.write_text("half")
                first.set()
                second.wait()
                temporary.write_text("whole")

        thread = threading.Thread(target=write)
        thread.start()
        first.wait()
        with replaced(path) as temporary:
            temporary.write_text("mine")
        assert path.read_text() == "mine"
        second.set()
        thread.join()
        assert path.read_text() == "whole"
        assert list(tmp_path.iterdir()) == [path]

    def test_removes_what_a_killed_process_left(self, tmp_path):
        child = subprocess.Popen([sys.executable, "-c", ""])
        child.wait()
        left = tmp_path / f".a.writing-{child.pid}-1.json"
        alive = tmp_path / f".a.writing-{os.getppid()}-1.json"
        other = tmp_path / f".b.writing-{child.pid}-1.json"
        for path in (left, alive, other):
            path.touch()
        with replaced(tmp_path / "a.json") as temporary:
            temporary.write_text("1")
        assert {*tmp_path.iterdir()} == {tmp_path / "a.json", alive, other}

    def test_follows_no_link_that_lies_in_wait(self, tmp_path):
        path, target = tmp_path / "a.json", tmp_path / "target"
        target.write_text("precious")
        writer = f"{os.getpid()}-{threading.get_ident()}"
        (tmp_path / f".a.writing-{writer}.json").symlink_to(target)
        with replaced(path) as temporary:
            temporary.write_text("1")
        assert target.read_text() == "precious"
        assert not path.is_symlink()
        assert path.read_text() == "1"

    def test_others_may_read_it_as_the_umask_says(self, tmp_path):
        before = os.umask(0o027)
        try:
            with replaced(tmp_path / "a") as temporary:
                temporary.write_text("1")
        finally:
            os.umask(before)
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
