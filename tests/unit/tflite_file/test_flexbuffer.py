"""FlexBuffer maps: byte for byte those of FlatBuffers' own builder, whatever the options."""

from __future__ import annotations

import pytest

from keras_sparsebnn.converters import ModelFileError
from keras_sparsebnn.tflite_file.flexbuffer import read_map, write_map

flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")

EDGES = [
    sign * 2**bits + d
    for bits in (0, 7, 8, 15, 16, 31, 32, 62)
    for sign in (1, -1)
    for d in (-1, 0)
]
EDGES += [0, 2**63 - 1, -(2**63), 2**63, 2**64 - 1]


def official(options):
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in sorted(options.items()):
            if type(value) is int and value >= 2**63:
                builder.UInt(key, value)
            else:
                builder.Add(key, value)
    return bytes(builder.Finish())


@pytest.mark.parametrize("value", EDGES)
def test_one_integer(value):
    assert write_map({"key": value}) == official({"key": value})
    assert read_map(write_map({"key": value})) == {"key": value}


@pytest.mark.parametrize("count", [0, 1, 2, 20, 60, 300])
def test_many_integers(rng, count):
    options = {
        f"option_{rng.integers(10**6)}": int(rng.choice(EDGES[:-2])) for _ in range(count)
    }
    assert write_map(options) == official(options)
    assert read_map(write_map(options)) == options


def test_other_scalars_and_texts():
    options = {"b": True, "f": 1.5, "d": 0.1, "s": "text", "i": -3}
    assert read_map(official(options)) == options
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.IndirectInt("i", -70000)
        builder.IndirectUInt("u", 70000)
        builder.IndirectFloat("f", 2.5)
        builder.Null("nothing")
        builder.VectorFromElements("many", [1, 2])
    assert read_map(bytes(builder.Finish())) == {"i": -70000, "u": 70000, "f": 2.5}


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0", bytes(40), flexbuffers.Dumps([1, 2])])
def test_no_map(data):
    assert read_map(data) == {}


def test_damaged_in_any_byte():
    data = official({"stride": 2, "text": "abc", "half": 0.5, "large": 2**40})
    outcomes = set()
    for place in range(len(data)):
        for byte in range(256):
            changed = bytearray(data)
            changed[place] = byte
            try:
                read_map(bytes(changed))
            except ModelFileError as error:
                assert "\n" not in str(error)  # noqa: PT017
                outcomes.add("refused")
            else:
                outcomes.add("read")
    assert outcomes == {"read", "refused"}
