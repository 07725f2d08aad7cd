"""1x1 convolutions in 8 bits, run by the delegate = XNNPACK's ops from QUANTIZE to DEQUANTIZE.

Bit for bit. The files are those of the converter, `int8_layers`.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_sparsebnn.converters.int8_layers import Range
from keras_sparsebnn.tflite_file import read
from tests.shortcut_model import Shortcut, ran_as_stock
from tests.stem_model import RELU, RELU6, SAME, VALID, in_int8, values

MAP, MADE = Range.spanning(-2.1, 2.4), Range.spanning(-40, 50)


def int8(shortcut: Shortcut, map: Range = MAP, made: Range = MADE) -> bytes:
    return in_int8(shortcut.bytes(), [map, made])


def same_as_xnnpack(runner, flat, x, kernels, **options):
    """That many kernels run it."""
    nodes = ran_as_stock(runner, flat, x, **options)
    found = {n["kernel"] for n in nodes if n["op"] == "CONV_2D"}
    assert len(found) == kernels
    assert all(name.startswith("1x1 int8 ") for name in found)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_random_geometry(runner, vector_isas, data):
    """Any map, channels, activation and range; values beyond the range, too."""
    draw = data.draw
    channels = draw(st.one_of(st.integers(5, 40), st.integers(41, 600)))
    shape = (
        draw(st.integers(1, 3)),
        draw(st.integers(2, 20)),
        draw(st.integers(2, 20)),
        channels,
    )
    shortcut = Shortcut(
        shape,
        draw(st.one_of(st.integers(1, 70), st.integers(71, 512))),
        window=(2, 2) if draw(st.booleans()) else None,
        padding=draw(st.sampled_from([SAME, VALID])),
        activation=draw(st.sampled_from([0, RELU, RELU6])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )
    flat = int8(
        shortcut,
        Range(draw(st.floats(2**-10, 2**-4, width=32)), draw(st.integers(-128, 127))),
        Range(draw(st.floats(2**-7, 2**-1, width=32)), draw(st.integers(-128, 126))),
    )
    options = {
        "isa": draw(st.sampled_from(vector_isas)),
        "num_threads": draw(st.integers(1, 4)),
    }
    same_as_xnnpack(runner, flat, values(shape), 1, **options)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", [(1, 56, 56, 64), (1, 28, 28, 128), (1, 14, 14, 256)])
def test_resnet18s(runner, vector_isas, shape, threads):
    flat = int8(Shortcut(shape, 2 * shape[-1]))
    for isa in vector_isas:
        same_as_xnnpack(runner, flat, values(shape), 1, isa=isa, num_threads=threads)
    same_as_xnnpack(runner, flat, values(shape), 0, isa="scalar")


def test_the_largest_sums(runner, vector_isas):
    """Beyond 2^24, where not every integer is a float; of one sign, so that nothing cancels."""
    shape = (1, 4, 4, 4096)
    shortcut = Shortcut(shape, 24, window=None)
    shortcut.kernel[...] = np.float32(127)
    shortcut.kernel[::2] = np.float32(-126)
    shortcut.kernel[::2, ..., 0] = np.float32(-127)
    x = np.full(shape, 9, np.float32)
    x[0, 0] = np.arange(4 * 4096).reshape(4, 4096) % 7
    for isa in vector_isas:
        for zero_point in (-128, 127):
            flat = int8(shortcut, Range(0.04, zero_point), Range(33000.0, 0))
            same_as_xnnpack(runner, flat, x, 1, isa=isa)


def test_what_is_between_can_be_seen(runner, vector_isas):
    file = read(int8(Shortcut((1, 14, 14, 64), 128)))
    graph = file.subgraphs[0]
    between = [o.outputs[0] for o in graph.operators if o.name in ("QUANTIZE", "CONV_2D")]
    graph.table["outputs"] = [*between, *graph.outputs]
    same_as_xnnpack(runner, file.to_bytes(), values((1, 14, 14, 64)), 1)


def test_a_resized_batch(runner, vector_isas):
    shape = (1, 8, 6, 40)
    flat = int8(Shortcut(shape, 48))
    for batch in (5, 1, 8):
        same_as_xnnpack(runner, flat, values((batch, *shape[1:])), 1, num_threads=2)


@pytest.mark.parametrize("option", ["glue", "stem"])
def test_an_option_leaves_it_to_the_runtime(runner, option):
    shape = (1, 8, 8, 40)
    same_as_xnnpack(runner, int8(Shortcut(shape, 48)), values(shape), 0, **{option: 0})
