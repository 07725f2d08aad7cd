"""Folders that one process holds at a time."""

import threading

import pytest

from keras_sparsebnn._files import locked
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
