"""First layers in 8 bits, run by the delegate = XNNPACK's QUANTIZE to DEQUANTIZE, bit for bit.

The files are those of the converter, `int8_layers`.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_sparsebnn.converters.int8_layers import Range
from keras_sparsebnn.tflite_file import Table, operator_code, read
from tests.stem_model import (
    RELU,
    RELU6,
    SAME,
    STEMS,
    VALID,
    Stem,
    in_int8,
    same_as_xnnpack,
    values,
)

IMAGE, MAP = Range.spanning(-2.1, 2.4), Range.spanning(-9, 11)


def int8(stem: Stem, image: Range = IMAGE, made: Range = MAP) -> bytes:
    return in_int8(stem.bytes(), [image, made])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_random_geometry(runner, vector_isas, data):
    """Any filter, stride, padding, activation, pool and range; values beyond the range, too."""
    draw = data.draw
    padding = draw(st.sampled_from([SAME, VALID]))
    kernel = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    height, width = (n + draw(st.integers(0, 20)) for n in kernel)
    shape = draw(st.integers(1, 3)), height, width, draw(st.integers(1, 4))
    stem = Stem(
        shape,
        (draw(st.integers(8, 70)), *kernel),
        stride=tuple(draw(st.integers(1, min(4, n))) for n in kernel),
        padding=padding,
        activation=draw(st.sampled_from([0, RELU, RELU6])),
        seed=draw(st.integers(0, 2**32 - 1)),
        pool=draw(st.sampled_from([None, (3, 2), (2, 2), (2, 1)])),
    )
    ranges = [
        Range(draw(st.floats(2**-10, 2**-4, width=32)), draw(st.integers(-128, 127))),
        Range(draw(st.floats(2**-7, 2**-2, width=32)), draw(st.integers(-128, 126))),
    ]
    options = {
        "isa": draw(st.sampled_from(vector_isas)),
        "num_threads": draw(st.integers(1, 4)),
    }
    same_as_xnnpack(runner, int8(stem, *ranges), values(shape), **options)


@pytest.mark.parametrize("name", STEMS)
def test_networks_begin_so(runner, vector_isas, name):
    shape, filters, stride = STEMS[name]
    for threads, isa in enumerate(vector_isas, 1):
        for pool in (None, (3, 2)):
            flat = int8(Stem(shape, filters, stride=(stride, stride), pool=pool))
            for glue in (0, 1):
                options = {"isa": isa, "num_threads": threads, "glue": glue}
                same_as_xnnpack(runner, flat, values(shape), **options)
    same_as_xnnpack(runner, flat, values(shape), claimed=0, isa="scalar")


def test_halves_and_zeros(runner, vector_isas):
    """Images halfway between two steps are rounded to the even one; no zero has a sign."""
    shape, filters, _ = STEMS["CIFAR"]
    steps = np.random.default_rng(2).integers(-300, 300, shape)
    for isa in vector_isas:
        for zero_point in (-128, -1, 0, 2, 127):
            ranges = Range(0.5, zero_point), Range(4.0, max(-127, zero_point - 1))
            flat = int8(Stem(shape, filters), *ranges)
            (y, _) = same_as_xnnpack(runner, flat, (steps / 4).astype(np.float32), isa=isa)
            assert np.isin(y, 0.0).any()
            assert not np.signbit(y[y == 0]).any()


@pytest.mark.parametrize("pool", [None, (3, 2)])
def test_what_is_between_can_be_seen(runner, vector_isas, pool):
    """Graph outputs of int8, which the runtime does not announce."""
    shape, filters, stride = STEMS["ReActNet"]
    file = read(int8(Stem(shape, filters, stride=(stride, stride), pool=pool)))
    graph = file.subgraphs[0]
    between = [
        o.outputs[0] for o in graph.operators if o.name not in ("DEQUANTIZE", "LceQuantize")
    ]
    graph.table["outputs"] = [*between, *graph.outputs]
    same_as_xnnpack(runner, file.to_bytes(), values(shape), claimed=2)


def test_a_resized_batch(runner, vector_isas):
    shape, filters, stride = STEMS["ResNet-18"]
    flat = int8(Stem(shape, filters, stride=(stride, stride), pool=(3, 2)))
    batches = values((3, *shape[1:]))
    ours, _ = same_as_xnnpack(runner, flat, batches)
    for i in range(3):
        (alone, _) = same_as_xnnpack(runner, flat, batches[i : i + 1])
        np.testing.assert_array_equal(alone, ours[i : i + 1])


def test_what_is_left_to_the_runtime(runner, vector_isas):
    """What is not such a stem, or is more."""
    for shape, filters, stride in (
        ((1, 9, 9, 5), (16, 3, 3), 1),  # too many channels
        ((1, 9, 9, 3), (7, 3, 3), 1),  # too few
        ((1, 30, 30, 3), (16, 12, 12), 1),
    ):
        stem = Stem(shape, filters, stride=(stride, stride))
        same_as_xnnpack(runner, int8(stem), values(shape), claimed=0)
    shape, filters, _ = STEMS["CIFAR"]
    flat = int8(Stem(shape, filters))
    file = read(flat)
    graph = file.subgraphs[0]
    # Another op reads the int8 image.
    extra = graph.table.append("tensors", graph.tensors[graph.inputs[0]].table)
    quantize, _, dequantize, *_ = graph.operators
    code = dequantize.table.integer("opcode_index")
    another = Table("Operator", opcode_index=code, inputs=quantize.outputs, outputs=[extra])
    graph.table.append("operators", another)
    graph.table["outputs"] = [*graph.outputs, extra]
    same_as_xnnpack(runner, file.to_bytes(), values(shape), claimed=0)


def test_a_float_pool_behind_a_stem_of_1x1(runner, vector_isas):
    """Takes its rows as the map has them, however short."""
    shape = 1, 8, 7, 3
    file = read(int8(Stem(shape, (16, 1, 1))))
    graph = file.subgraphs[0]
    *others, quantize = graph.operators
    (made, bits) = graph.outputs
    pooled = graph.table.append(
        "tensors",
        Table("Tensor", **{**graph.tensors[made].table.fields, "shape": (1, 4, 4, 16)}),
    )
    graph.tensors[bits].table["shape"] = (1, 4, 4, 1)
    options = Table(
        "Pool2DOptions", padding=SAME, stride_h=2, stride_w=2, filter_height=3, filter_width=3
    )
    pool = Table(
        "Operator",
        opcode_index=operator_code(file.root, "MAX_POOL_2D"),
        **{"inputs": [made], "outputs": [pooled], "builtin_options": options},
        builtin_options_type=5,
    )
    quantize.table["inputs"] = [pooled]
    graph.table["operators"] = [*(o.table for o in others), pool, quantize.table]
    graph.table["outputs"] = [pooled, bits]
    for isa in vector_isas:
        same_as_xnnpack(runner, file.to_bytes(), values(shape), isa=isa)
