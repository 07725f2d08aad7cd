"""Damaged files: `inspect` reports or raises `ModelFileError`, in bounded time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_sparsebnn.converters import ModelFileError, ModelReport, inspect
from tests.property.edits import EDITS, FILES, edited


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
@given(edits=EDITS)
def test_mutated(name, edits):
    check(edited(FILES[name], edits))


@pytest.mark.parametrize("name", FILES)
def test_truncated_anywhere(name):
    data = FILES[name]
    for size in range(0, len(data), 7):
        check(data[:size])


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_noise_behind_the_identifier(data):
    check(data[:4].ljust(4, b"\x08") + b"TFL3" + data[4:])
