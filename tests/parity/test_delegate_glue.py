"""Float ops that the delegate claims = the runtime's own, by XNNPACK and built in, bit for bit.

What differs between these two is left out: signs of zeros (which compare equal here), NaN and
denormal numbers; and convolutions and average pools, built in.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_sparsebnn.tflite_file import Table

BINARY = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}
EXTREME = {"MAXIMUM": "MaximumMinimumOptions", "MINIMUM": "MaximumMinimumOptions"}
UNARY = ("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "MAX_POOL_2D")
SHORTCUT = ("AVERAGE_POOL_2D", "CONV_2D")
RELU, RELU6 = 1, 3


class Graph:
    """Float maps of one shape; binary convolutions that keep it, and ops between them."""

    def __init__(self, op_model, shape: tuple[int, int, int], rng: np.random.Generator) -> None:
        self.model, self.rng = op_model(), rng
        self.height, self.width, self.channels = shape
        self.maps = [self.map()]

    def map(self) -> int:
        return self.model.activation([1, self.height, self.width, self.channels], "float32")

    def constant(self, shape: tuple[int, ...]) -> int:
        return self.model.constant(self.rng.normal(0, 2, shape).astype(np.float32))

    def convolution(self) -> None:
        """LceQuantize and LceBconv2d of the last map."""
        words = -(-self.channels // 32)
        bits = self.model.activation([1, self.height, self.width, words], "int32")
        self.model.operator("LceQuantize", [self.maps[-1]], [bits])
        kernels = self.rng.integers(-(2**31), 2**31, (self.channels, 3, 3, words))
        if self.channels % 32:
            kernels[..., -1] &= 2 ** (self.channels % 32) - 1
        inputs = [bits, self.model.constant(kernels.astype(np.int32))]
        inputs += [self.constant((self.channels,)) for _ in range(2)]
        options = dict.fromkeys(("dilation_height_factor", "dilation_width_factor"), 1)
        options |= dict.fromkeys(("stride_height", "stride_width"), 1)
        options |= {"channels_in": self.channels, "fused_activation_function": 0}
        self.maps.append(self.map())
        self.model.operator(
            "LceBconv2d",
            [*inputs, -1],
            [self.maps[-1]],
            {**options, "padding": 0, "pad_values": 1},
        )

    def op(self, name: str, other: int | None, swap: bool, activation: int) -> None:
        """An elementwise op of the last map and, unless it has one input, `other`."""
        x, y = self.maps[-1], self.map()
        options, inputs = None, [x]
        if name in BINARY:
            options = Table(BINARY[name], fused_activation_function=activation)
        elif name in EXTREME:
            options = Table(EXTREME[name])
        elif name == "LEAKY_RELU":
            options = Table("LeakyReluOptions", alpha=float(self.rng.uniform(-1, 1)))
        elif name == "MAX_POOL_2D":
            height, width = (int(n) for n in self.rng.integers(1, 5, 2))
            options = Table(
                "Pool2DOptions",
                **{"padding": 0, "stride_h": 1, "stride_w": 1},
                **{"filter_height": height, "filter_width": width},
            )
        if name not in UNARY:
            inputs = [other, x] if swap else [x, other]
        self.model.operator(name, inputs, [y], options)
        self.maps.append(y)

    def shortcut(self, name: str, activation: int) -> None:
        """One of `SHORTCUT`, of the last map, which keeps the shape."""
        x, y = self.maps[-1], self.map()
        options = {"padding": 0, "stride_h": 1, "stride_w": 1}
        if name == "CONV_2D":
            inputs = [x, self.constant((self.channels, 1, 1, self.channels))]
            inputs.append(self.constant((self.channels,)))
            options |= {"dilation_h_factor": 1, "dilation_w_factor": 1}
            table = Table("Conv2DOptions", **options, fused_activation_function=activation)
        else:
            inputs = [x]
            table = Table("Pool2DOptions", **options, filter_height=2, filter_width=2)
        self.model.operator(name, inputs, [y], table)
        self.maps.append(y)

    def bytes(self, outputs: list[int]) -> bytes:
        return self.model.to_bytes([self.maps[0]], outputs)


def check(
    runner, flat: bytes, x: np.ndarray, claimed: int, resolvers=(True, False), **options
) -> None:
    """Same outputs as without glue, and that many float ops are the delegate's.

    Args:
        resolvers: with XNNPACK, without.
    """
    for xnnpack in resolvers:
        delegate = runner.load(glue=0, **options)
        plain = runner.run_on(runner.interpreter(flat, delegate, xnnpack=xnnpack), x)
        delegate = runner.load(glue=1, **options)
        interpreter = runner.interpreter(flat, delegate, xnnpack=xnnpack)
        glued = runner.run_on(interpreter, x)
        for ours, theirs in zip(glued, plain, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        nodes = [n for p in runner.profile(delegate)["partitions"] for n in p["nodes"]]
        assert sum(not n["op"].startswith("Lce") for n in nodes) == claimed


def values(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(0, 3, (1, *shape)).astype(np.float32)


@pytest.mark.parametrize("channels", [5, 32, 48])
@pytest.mark.parametrize("operand", ["channels", "broadcast", "scalar", "map"])
@pytest.mark.parametrize("name", [*BINARY, *EXTREME, "PRELU"])
def test_ops_of_two_inputs(runner, op_model, name, operand, channels):
    """Each op, both ways round, after a convolution and before a quantization."""
    rng = np.random.default_rng(channels)
    for swap in (False, True):
        if name == "PRELU" and (swap or operand == "map"):
            continue
        for activation in (0, RELU, RELU6) if name in BINARY else (0,):
            graph = Graph(op_model, (3, 4, channels), rng)
            graph.convolution()
            shapes = {"channels": (channels,), "broadcast": (1, 1, channels), "scalar": (1,)}
            other = graph.maps[0] if operand == "map" else graph.constant(shapes[operand])
            graph.op(name, other, swap, activation)
            graph.convolution()
            flat = graph.bytes([graph.maps[2], graph.maps[-1]])
            check(runner, flat, values(rng, (3, 4, channels)), claimed=1)


@pytest.mark.parametrize("name", UNARY)
def test_ops_of_one_input(runner, op_model, name):
    rng = np.random.default_rng(1)
    graph = Graph(op_model, (3, 4, 40), rng)
    graph.convolution()
    graph.op(name, None, False, 0)
    check(runner, graph.bytes([graph.maps[-1]]), values(rng, (3, 4, 40)), claimed=1)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_random_graphs(runner, op_model, data):
    """Chains with shortcuts of any length, some maps read outside, on every instruction set."""
    draw_graph(runner, op_model, data.draw, shortcuts=False)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_random_graphs_with_pools_and_convolutions(runner, op_model, data):
    """Likewise, with average pools and convolutions of 1x1 among them."""
    if runner.isas[-1] == "scalar":
        pytest.skip("needs fused multiply-add")
    draw_graph(runner, op_model, data.draw, shortcuts=True)


def draw_graph(runner, op_model, draw, *, shortcuts: bool) -> None:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # Of what the delegate leaves to the runtime there is another test.
    some = [8, 16, 24, 64] if shortcuts else [1, 8, 16, 20, 32, 64, 70]
    channels = draw(st.sampled_from(some))
    shape = draw(st.integers(1, 9)), draw(st.integers(8 if shortcuts else 1, 9)), channels
    graph = Graph(op_model, shape, rng)
    claimed = 0
    for _ in range(draw(st.integers(1, 14))):
        names = ["conv", *BINARY, *EXTREME, "PRELU", *UNARY, *(2 * shortcuts * SHORTCUT)]
        name = draw(st.sampled_from(names))
        if name == "conv":
            graph.convolution()
            continue
        if name in SHORTCUT:
            graph.shortcut(name, draw(st.sampled_from([0, RELU, 2, RELU6])))
            claimed += 1
            continue
        constant = name == "PRELU" or draw(st.booleans())
        forms = st.sampled_from([(channels,), (1, 1, channels), (1,)])
        other = graph.constant(draw(forms)) if constant else draw(st.sampled_from(graph.maps))
        swap = name != "PRELU" and draw(st.booleans())
        # Products of products grow until an infinity is taken from another.
        name = "ADD" if name == "MUL" and not constant else name
        graph.op(name, other, swap, draw(st.sampled_from([0, RELU, 2, RELU6])))
        claimed += 1
    graph.convolution()
    outputs = [m for m in graph.maps[1:-1] if draw(st.booleans())] + [graph.maps[-1]]
    options = {
        "isa": draw(
            st.sampled_from([i for i in runner.isas if not shortcuts or i != "scalar"])
        ),
        "num_threads": draw(st.integers(1, 4)),
    }
    if shortcuts:
        options["resolvers"] = (True,)
    check(runner, graph.bytes(outputs), values(rng, shape), claimed, **options)


def test_what_is_not_understood_is_left_alone(runner, op_model):
    """A constant for each place, one that is broadcast, a fused tanh: the runtime's."""
    rng = np.random.default_rng(2)
    for other, activation in (((3, 4, 40), 0), ((3, 1, 1), 0), ((40,), 4)):
        graph = Graph(op_model, (3, 4, 40), rng)
        graph.convolution()
        graph.op("ADD", graph.constant(other), False, activation)
        delegate = runner.load()
        interpreter = runner.interpreter(graph.bytes([graph.maps[-1]]), delegate)
        try:
            runner.run_on(interpreter, values(rng, (3, 4, 40)))
        except (RuntimeError, ValueError):
            assert activation == 4  # no runtime has it for additions
        nodes = [n for p in runner.profile(delegate)["partitions"] for n in p["nodes"]]
        assert {n["op"] for n in nodes} == {"LceQuantize", "LceBconv2d"}


def test_a_batch_after_a_resize(runner, op_model):
    rng = np.random.default_rng(4)
    graph = Graph(op_model, (3, 4, 40), rng)
    graph.convolution()
    graph.op("ADD", graph.maps[0], False, 0)
    graph.op("PRELU", graph.constant((1, 1, 40)), False, 0)
    flat = graph.bytes([graph.maps[-1]])
    x = np.concatenate([values(rng, (3, 4, 40)) for _ in range(3)])
    together = runner.run(flat, x)[0]
    for one, alone in zip(x, together, strict=True):
        np.testing.assert_array_equal(runner.run(flat, one[None])[0][0], alone)


def test_a_residual_network_is_few_partitions(runner, op_model):
    """A chain of blocks, each with a shortcut, is one partition of the delegate's."""
    rng = np.random.default_rng(5)
    graph = Graph(op_model, (3, 4, 64), rng)
    for _ in range(4):
        shortcut = graph.maps[-1]
        graph.convolution()
        graph.op("ADD", shortcut, False, 0)
        graph.op("PRELU", graph.constant((1, 1, 64)), False, 0)
    flat = graph.bytes([graph.maps[-1]])
    for glue, partitions in ((1, 1), (0, 4)):
        delegate = runner.load(glue=glue)
        interpreter = runner.interpreter(flat, delegate)
        runner.run_on(interpreter, values(rng, (3, 4, 64)))
        assert len(runner.profile(delegate)["partitions"]) == partitions
