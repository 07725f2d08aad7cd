"""The sub-bit format on random networks and on damaged files."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_sparsebnn.converters import ModelFileError, compress, expand, quantize_weights
from keras_sparsebnn.converters.filters.packed import codeword_ids, packed_filters
from keras_sparsebnn.converters.filters.sub_bit import filter_words, sub_bit_filters
from keras_sparsebnn.tflite_file import read, write_tables
from tests.property.edits import EDITS, FILES, edited


@st.composite
def networks(draw):
    """Layers of `lce_model`: random kernels of random geometry, some of them shared."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers = []
    for _ in range(draw(st.integers(1, 4))):
        if layers and draw(st.booleans()):
            words, channels_in = draw(st.sampled_from(layers))
            layers.append((words if draw(st.booleans()) else words.copy(), channels_in))
            continue
        groups = draw(st.sampled_from([1, 1, 2, 3]))
        channels = draw(st.integers(1, 130)) if groups == 1 else 32 * draw(st.integers(1, 3))
        outputs = groups * draw(st.integers(1, 200 // groups))
        book = rng.choice(512, draw(st.integers(1, 512)), replace=False).astype(np.uint16)
        words = filter_words(rng.choice(book, (outputs, channels)))
        layers.append((words, groups * channels))
    return layers


@settings(max_examples=150, deadline=None)
@given(layers=networks(), share_buffers=st.booleans())
def test_lossless_and_never_larger(lce_model, layers, share_buffers):
    model = lce_model(*layers, share_buffers=share_buffers)
    packed = compress(model)
    assert expand(packed) == model
    assert packed is model or len(packed) < len(model)
    plain = {layer.index: layer for layer in packed_filters(read(model))}
    for layer in sub_bit_filters(read(packed)):
        np.testing.assert_array_equal(codeword_ids(plain[layer.index].negative), layer.ids)


def check(function, data):
    start = time.process_time()
    try:
        result = function(data)
    except ModelFileError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        # What was rewritten is whole; a wrong number in it stays one.
        assert result is data or read(result).to_bytes()
    # Processor time, generous: an unbounded loop takes hours, a read takes milliseconds.
    assert time.process_time() - start < 10


def rewrite(data):
    return read(data).to_bytes()


FUNCTIONS = [expand, compress, quantize_weights, rewrite]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", FILES)
@settings(max_examples=200, deadline=None)
@given(edits=EDITS)
def test_mutated(function, name, edits):
    check(function, edited(FILES[name], edits))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_truncated_anywhere(function):
    data = FILES["subbit_v1.tflite"]
    for size in range(0, len(data), 7):
        check(function, data[:size])


@pytest.mark.parametrize("name", FILES)
def test_rewriting_keeps_everything(name):
    tree = read(FILES[name]).root
    again = write_tables(tree)
    assert read(again).root == tree
    assert write_tables(read(again).root) == again
