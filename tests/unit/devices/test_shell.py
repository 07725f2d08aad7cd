"""Programs on a device, within bounds: of time, of what they say, of what they start."""

from __future__ import annotations

import threading
import time

import pytest

from keras_sparsebnn.devices import shell as shells
from keras_sparsebnn.devices.device import Settings
from keras_sparsebnn.devices.local import LocalDevice, LocalShell
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.pretrained import load


@pytest.fixture
def shell():
    return LocalShell()


def test_says_how_a_program_ended(shell):
    output = shell.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (output.status, output.out, output.err) == (3, "out", "err\n")


def test_a_program_that_falls_silent(shell):
    start = time.monotonic()
    with pytest.raises(SparseBNNError, match="Expected an answer within 1 s, got none"):
        shell.run(["sleep", "60"], timeout=1)
    assert time.monotonic() - start < 20


def test_what_it_has_started_ends_with_it(shell, tmp_path):
    """A grandchild holds the pipe that we read."""
    start, late = time.monotonic(), tmp_path / "late"
    script = f"(sleep 30; touch '{late}') & sleep 60"
    with pytest.raises(SparseBNNError, match="Expected an answer within 1 s"):
        shell.run(["sh", "-c", script], timeout=1)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("stream", [1, 2])
def test_a_program_that_says_too_much(shell, stream, monkeypatch):
    monkeypatch.setattr(shells, "MAX_OUTPUT", 1 << 20)
    start = time.monotonic()
    with pytest.raises(SparseBNNError, match="at most 1048576 bytes"):
        shell.run(["sh", "-c", f"yes loud >&{stream}"], timeout=50)
    assert time.monotonic() - start < 40


def test_time_is_for_each_line_of_a_stream(shell, monkeypatch):
    monkeypatch.setattr(shells, "SILENCE", 5.0)
    script = "for i in 1 2 3 4 5 6; do echo $i; sleep 1; done"
    assert list(shell.stream(["sh", "-c", script])) == ["1", "2", "3", "4", "5", "6"]


def test_many_lines_take_no_time(shell):
    start = time.monotonic()
    assert len(list(shell.stream(["sh", "-c", "yes '' | head -n 50000"]))) == 50_000
    assert time.monotonic() - start < 20


def test_this_machine_stops_at_once():
    """Native code runs a million inferences and looks at nothing else."""
    device, start = LocalDevice(), time.monotonic()
    model = load("cifar10").path("subbit")
    threading.Timer(2, device.stop).start()
    with pytest.raises(SparseBNNError, match="Expected to go on, but was stopped"):
        device.measure(model, Settings(warmup=1_000_000), lambda done, total: None)
    assert time.monotonic() - start < 20
