"""Damaged files: `inspect` reports or raises `ModelFileError`, in bounded time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_sparsebnn.converters import ModelFileError, ModelReport, inspect

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = {path.name: path.read_bytes() for path in sorted(GOLDEN.glob("*.tflite"))}

# 32-bit words that break readers: huge lengths, offsets to self, backwards and past the end.
WORDS = st.sampled_from([0, 1, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, 0x10000000])
EDIT = st.tuples(st.integers(0, 2**16), st.one_of(st.integers(0, 255), st.none()), WORDS)


def check(data: bytes) -> None:
    start = time.process_time()
    try:
        report = inspect(data)
    except ModelFileError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert isinstance(report, ModelReport)
        assert sum(report.bytes_by_kind.values()) == len(data)
        assert str(report)
    # Processor time, generous: an unbounded loop takes hours, a read takes milliseconds.
    assert time.process_time() - start < 10


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=300, deadline=None)
@given(edits=st.lists(EDIT, min_size=1, max_size=6))
def test_mutated(name, edits):
    data = bytearray(FILES[name])
    for place, byte, word in edits:
        if byte is None:
            at = place % (len(data) // 4) * 4
            data[at : at + 4] = word.to_bytes(4, "little")
        else:
            data[place % len(data)] = byte
    check(bytes(data))


@pytest.mark.parametrize("name", FILES)
def test_truncated_anywhere(name):
    data = FILES[name]
    for size in range(0, len(data), 7):
        check(data[:size])


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_noise_behind_the_identifier(data):
    check(data[:4].ljust(4, b"\x08") + b"TFL3" + data[4:])
