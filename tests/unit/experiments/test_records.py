"""A file of records: what `append` returned from is there, whoever is killed."""

import json
import os
import resource
import signal
import subprocess
import sys

import pytest

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments import records

# Appends records for ever, and says so after each.
WRITER = """
import sys
from pathlib import Path
from keras_sparsebnn.experiments import records
for number in range(int(sys.argv[3])):
    records.append(Path(sys.argv[1]), {"by": sys.argv[2], "number": number, "long": "x" * 3000})
    print(number, flush=True)
"""


def start(path, name, count=10**9):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )


def contents(path):
    return [record for _, record in records.read(path)]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.jsonl"
    for number in range(3):
        records.append(path, {"number": number, "values": [0.1, 1e-300, 2.0], "text": "é\n"})
    return path


def test_round_trip(path):
    assert [number for number, _ in records.read(path)] == [1, 2, 3]
    expected = {"number": 2, "values": [0.1, 1e-300, 2.0], "text": "é\n"}
    assert contents(path)[2] == expected
    assert path.read_bytes().count(b"\n") == 3


def test_a_cut_off_record_is_neither_read_nor_in_the_way(path):
    whole = path.read_bytes()
    start_of_last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(start_of_last, len(whole) + 1):
        path.write_bytes(whole[:end])
        # All of the last record but its newline is the whole record.
        numbers = [0, 1, 2] if end >= len(whole) - 1 else [0, 1]
        assert [record["number"] for record in contents(path)] == numbers
        records.append(path, {"number": 9})
        assert [record["number"] for record in contents(path)] == [*numbers, 9]
        assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_damaged_lines_are_named_and_stay(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"number": \xff\n' + b"\n" + b"[1]\n" + lines[2])
    read = dict(records.read(path))
    assert (read[2], read[4]) == (None, None)
    assert (read[1]["number"], read[5]["number"], set(read)) == (0, 2, {1, 2, 4, 5})
    before = path.read_bytes()
    records.append(path, {"number": 3})
    assert path.read_bytes().startswith(before)


def test_writers_take_turns(tmp_path):
    path = tmp_path / "some.jsonl"
    writers = [start(path, str(i), 40) for i in range(3)]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    for name in ("0", "1", "2"):
        assert [r["number"] for r in contents(path) if r["by"] == name] == list(range(40))


def test_a_killed_writer_loses_nothing(tmp_path):
    path = tmp_path / "some.jsonl"
    for round_ in range(4):
        writer = start(path, str(round_))
        said = [writer.stdout.readline() for _ in range(5 + 7 * round_)]
        writer.send_signal(signal.SIGKILL)
        said += writer.communicate()[0].splitlines()
        acknowledged = [int(line) for line in said]
        numbers = [r["number"] for r in contents(path) if r["by"] == str(round_)]
        assert numbers[: len(acknowledged)] == acknowledged
        assert numbers == list(range(len(numbers)))
    records.append(path, {"by": "last", "number": 0})
    assert None not in contents(path)


def test_a_full_disk_leaves_the_file_as_it_was(path):
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            records.append(path, {"long": "x" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["seed,accuracy\n0,0.9", "x" * 40])
def test_other_files_are_left_alone(tmp_path, text):
    path = tmp_path / "some.jsonl"
    path.write_text(text)
    with pytest.raises(SparseBNNError, match="Expected a file of records, got another one"):
        records.append(path, {"number": 0})
    assert path.read_text() == text


def test_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "some.jsonl")
    with pytest.raises(SparseBNNError, match="Expected a file of records of at most"):
        list(records.read(tmp_path / "some.jsonl"))


def test_lines_are_bounded(path, monkeypatch):
    monkeypatch.setattr(records, "MAX_LINE_BYTES", 1000)
    with path.open("ab") as file:
        file.write(b'{"number": "' + b"x" * 3000 + b'"}\n')
    assert dict(records.read(path))[4] is None
