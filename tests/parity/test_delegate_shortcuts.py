"""The delegate's average pools and float convolutions of 1x1 = XNNPACK's, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_sparsebnn.converters.int8_weights import quantize_weights
from keras_sparsebnn.pretrained import load
from keras_sparsebnn.tflite_file import ModelBuilder, Table
from tests.shortcut_model import Shortcut, ran_as_stock
from tests.stem_model import RELU, RELU6, RELU_N1_TO_1, SAME, VALID, values

FLOAT = ("AVERAGE_POOL_2D", "CONV_2D")
TAKEN = (*FLOAT, "DEQUANTIZE")


def same_as_xnnpack(runner, flat, x, claimed, **options):
    """`claimed` are the delegate's."""
    nodes = ran_as_stock(runner, flat, x, **options)
    assert sorted(n["op"] for n in nodes if n["op"] in TAKEN) == sorted(claimed)
    return nodes


def claims(runner, *ops):
    """These, where there is an instruction set for them."""
    return ops if runner.isas[-1] != "scalar" else ()


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_random_geometry(runner, vector_isas, data):
    """Any map, channels, stride, padding and activation; on all but plain instructions."""
    draw = data.draw
    # As few channels begin a network.
    channels = draw(st.one_of(st.integers(5, 40), st.integers(41, 512)))
    stride = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    # At least 9 pixels.
    height, width = (2 + 2 * s + draw(st.integers(0, 12)) for s in stride)
    shape = draw(st.integers(1, 3)), height, width, channels
    pool = draw(st.booleans())
    shortcut = Shortcut(
        shape,
        8 * draw(st.one_of(st.integers(1, 8), st.integers(9, 64))),
        window=(2, 2) if pool else None,
        stride=stride,
        padding=draw(st.sampled_from([SAME, VALID])),
        activation=draw(st.sampled_from([0, RELU, RELU_N1_TO_1, RELU6])),
        seed=draw(st.integers(0, 2**32 - 1)),
        pooled=draw(st.booleans()),
    )
    options = {
        "isa": draw(st.sampled_from(vector_isas)),
        "num_threads": draw(st.integers(1, 4)),
    }
    same_as_xnnpack(runner, shortcut.bytes(), values(shape), FLOAT[not pool :], **options)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", [(1, 56, 56, 64), (1, 28, 28, 128), (1, 14, 14, 256)])
def test_resnet18s(runner, shape, threads):
    """Pool and convolution are one: the map between takes no memory."""
    flat = Shortcut(shape, 2 * shape[-1]).bytes()
    for isa in runner.isas:
        claimed = () if isa == "scalar" else FLOAT
        nodes = same_as_xnnpack(
            runner, flat, values(shape), claimed, isa=isa, num_threads=threads
        )
        kernels = [n["kernel"] for n in nodes if n["op"] in FLOAT]
        assert kernels == ([f"2x2 {isa}", "in node 0"] if claimed else [])


@pytest.mark.parametrize("shape", [(1, 28, 28, 64), (2, 7, 9, 40)])
def test_filters_in_8_bits(runner, shape):
    """Of `--weights int8`: what XNNPACK makes of the same integers."""
    flat = quantize_weights(Shortcut(shape, 2 * shape[-1]).bytes())
    for isa in runner.isas:
        claimed = TAKEN if isa != "scalar" else ()
        same_as_xnnpack(runner, flat, values(shape), claimed, isa=isa)


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_a_network_with_int8_weights_is_as_few_partitions(runner, name):
    """ResNet-18's blocks: everything but the end is one, and the same ops run."""
    found = []
    for kind in ("subbit", "subbit_int8"):
        delegate = runner.load()
        model = load(name)
        interpreter = runner.interpreter(model.path(kind).read_bytes(), delegate)
        runner.run_on(interpreter, model.prepared(model.samples[:1]))
        (partition,) = runner.profile(delegate)["partitions"]
        found.append(sorted(n["op"] for n in partition["nodes"] if n["op"] != "DEQUANTIZE"))
    assert found[0] == found[1]
    assert found[0].count("CONV_2D") == (3 if claims(runner, "CONV_2D") else 0)


def test_filters_in_8_bits_of_a_later_partition(runner, rng):
    """The runtime moves their DEQUANTIZE, which waits for nothing, into the first one."""
    model = ModelBuilder()
    shape = (1, 6, 5, 32)
    x, *maps = (model.activation(shape, "float32") for _ in range(4))
    bits = model.activation((1, 6, 5, 1), "int32")
    options = Table(
        "Conv2DOptions", stride_w=1, stride_h=1, dilation_w_factor=1, dilation_h_factor=1
    )
    for source, made in ((x, maps[0]), (maps[1], maps[2])):
        kernel = rng.normal(size=(32, 1, 1, 32)).astype(np.float32)
        constants = model.constant(kernel), model.constant(np.zeros(32, np.float32))
        model.operator("CONV_2D", [source, *constants], [made], options)
        model.operator("LceQuantize", [made], [bits])
        if made == maps[0]:
            model.operator("TANH", [made], [maps[1]])
            bits = model.activation((1, 6, 5, 1), "int32")
    flat = quantize_weights(model.to_bytes([x], [*maps, bits]))
    expected = claims(runner, "CONV_2D", "CONV_2D", "DEQUANTIZE", "DEQUANTIZE")
    same_as_xnnpack(runner, flat, values(shape), expected)


@pytest.mark.parametrize("value", [np.inf, -np.inf, -0.0, 3e38])
def test_values_that_arithmetic_stumbles_over(runner, value):
    """Zeros keep their sign, sums that overflow do it as in XNNPACK."""
    shape = (2, 9, 8, 20)
    for activation in (0, RELU6):
        shortcut = Shortcut(shape, 24, activation=activation, pooled=True)
        x = np.maximum(values(shape), 0)
        x[..., ::5, ::7, :] = value
        shortcut.kernel[::3, ..., ::2] = value
        shortcut.bias[::2] = -0.0
        same_as_xnnpack(runner, shortcut.bytes(), x, claims(runner, *FLOAT))
    x = np.full(shape, -0.0, np.float32)
    same_as_xnnpack(runner, shortcut.bytes(), x, claims(runner, *FLOAT))


def test_a_nan_stays_one_in_a_convolution(runner):
    """XNNPACK's average pool makes another value of it on x86."""
    shape = (1, 5, 8, 20)
    x = values(shape)
    x[:, ::2, ::3, 4] = np.nan
    flat = Shortcut(shape, 24, window=None).bytes()
    same_as_xnnpack(runner, flat, x, claims(runner, "CONV_2D"))


def test_a_pool_alone(runner):
    for shape in ((1, 7, 6, 5), (2, 2, 3, 33), (1, 1, 4, 8)):
        flat = Shortcut(shape, None).bytes()
        same_as_xnnpack(runner, flat, values(shape), claims(runner, "AVERAGE_POOL_2D"))


def test_a_resized_batch(runner):
    shape = (1, 8, 8, 40)
    flat = Shortcut(shape, 48).bytes()
    same_as_xnnpack(runner, flat, values((5, *shape[1:])), claims(runner, *FLOAT))


@pytest.mark.parametrize("option", ["glue", "stem"])
def test_an_option_leaves_both_to_the_runtime(runner, option):
    shape = (1, 8, 8, 40)
    same_as_xnnpack(runner, Shortcut(shape, 48).bytes(), values(shape), (), **{option: 0})


def test_what_is_left_to_the_runtime(runner):
    """What XNNPACK may sum in another order, on some core or in some version."""
    for shape, channels, options in (
        ((1, 8, 8, 40), 20, {}),  # not of whole eights
        ((1, 4, 4, 40), 32, {}),  # 4 pixels
        ((1, 2, 2, 40), None, {}),  # a window that is the map
        ((1, 9, 9, 40), None, {"window": (3, 3)}),
        ((1, 9, 9, 40), None, {"window": (2, 1)}),
        ((1, 9, 9, 40), None, {"stride": (3, 2)}),
    ):
        # Nor is a pool whose only reader is not the delegate's.
        same_as_xnnpack(runner, Shortcut(shape, channels, **options).bytes(), values(shape), ())
