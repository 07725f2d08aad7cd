"""LCE files to programs, and why some cannot be private."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.oblivious import Architecture, ObliviousError, read_program
from keras_sparsebnn.oblivious.circuit import layer_shapes
from keras_sparsebnn.tflite_file import ModelBuilder, read


def test_the_architecture_has_shapes_and_no_weights(lce_network, program):
    architecture = program.architecture
    assert [layer.kind for layer in architecture.layers] == [
        *("convolution", "pool", "convolution", "scores")
    ]
    assert [layer.taps for layer in architecture.layers] == [27, 4, 81, 140]
    assert architecture.encoding == ((0, -0.5), (0, 0.125), (0, 0.5))
    assert architecture.classes == 5
    # Other weights, the same architecture; another width, another one.
    assert read_program(lce_network(1)).architecture == architecture
    assert read_program(lce_network(0, classes=6)).architecture.digest != architecture.digest


def test_secrets_have_the_shapes_that_the_circuit_asks_for(program):
    for layer, secrets in zip(program.architecture.layers, program.secrets, strict=True):
        assert {name: bits.shape for name, bits in secrets.items()} == layer_shapes(layer)
        assert all(bits.dtype == np.bool_ for bits in secrets.values())


def test_the_bits_are_those_of_quantize(lce_network):
    assert read_program(lce_network(0, colours=2)).architecture.encoding == ((0, 0.0), (1, 0.0))


def test_json_brings_it_back(program):
    import json

    text = json.dumps(program.architecture.to_json())
    assert Architecture.from_json(json.loads(text)) == program.architecture


def edited(program, edit):
    data = program.architecture.to_json()
    layers = [dict(layer) for layer in data["layers"]]
    data = {**data, "input": list(data["input"]), "layers": layers}
    for layer in layers:
        layer.update({k: list(v) for k, v in layer.items() if isinstance(v, tuple)})
    edit(data)
    return data


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: data.pop("version"),
        lambda data: data.update(version=2),
        lambda data: data.update(layers=[]),
        lambda data: data.update(layers=data["layers"] * 40),
        lambda data: data.update(layers="scores"),
        lambda data: data.update(encoding=[[0, float("nan")]]),
        lambda data: data.update(encoding=[[7, 0.0]]),
        lambda data: data.update(encoding=[[0]]),
        lambda data: data.update(encoding=5),
        lambda data: data.update(input=[7, 6, 1.5]),
        lambda data: data["layers"][0].update(output=[10**9, 6, 9]),
        lambda data: data["layers"][0].update(output=[True, 6, 9]),
        lambda data: data["layers"][0].update(pads=[-1, 1]),
        lambda data: data["layers"][0].update(stride=[0, 1]),
        lambda data: data["layers"][0].update(stride=[9, 9]),
        lambda data: data["layers"][0].update(kind="scores"),
        lambda data: data["layers"][1].update(kind="adder"),
        lambda data: data["layers"][-1].update(kind="convolution"),
        lambda data: data["layers"][-1].update(output=[1, 1, 1]),
        lambda data: data["layers"][2].pop("kernel"),
    ],
)
def test_a_lying_architecture_is_one_line(program, edit):
    with pytest.raises(ObliviousError, match=r"^Expected [^\n]+$"):
        Architecture.from_json(edited(program, edit))


def test_an_architecture_that_asks_for_too_much_work(program):
    def edit(data):
        data["input"] = [4096, 4096, 1]
        data["layers"] = [
            {
                **{"kind": "convolution", "input": [4096, 4096, 3], "output": [4096, 4096, 64]},
                **{"kernel": [3, 3], "stride": [1, 1], "pads": [1, 1]},
            },
            {
                **{"kind": "scores", "input": [4096, 4096, 64], "output": [1, 1, 5]},
                **{"kernel": [4096, 4096], "stride": [1, 1], "pads": [0, 0]},
            },
        ]

    with pytest.raises(ObliviousError, match="at most 8589934592 binary products"):
        Architecture.from_json(edited(program, edit))


@pytest.mark.parametrize("data", [None, 5, "x", [], {}, {"version": 1}])
def test_what_is_no_architecture(data):
    with pytest.raises(ObliviousError, match="Expected an architecture"):
        Architecture.from_json(data)


@pytest.mark.parametrize(
    ("shape", "value", "message"),
    [
        ((7, 6, 1), 0.0, r"shape \[B, 7, 6, 1\], got \[7, 6, 1\]"),
        ((0, 7, 6, 1), 0.0, "shape"),
        ((1, 7, 6, 3), 0.0, "shape"),
        ((1, 7, 6, 1), np.nan, "finite pixels"),
    ],
)
def test_images_that_do_not_fit(program, shape, value, message):
    with pytest.raises(ObliviousError, match=message):
        program.architecture.bits(np.full(shape, value))


def test_a_float_stem_is_named_with_a_way_out():
    builder = ModelBuilder()
    image, out = (builder.activation([1, 4, 4, 2], "float32") for _ in range(2))
    weights = builder.constant(np.ones((2, 3, 3, 2), np.float32))
    bias = builder.constant(np.ones(2, np.float32))
    builder.operator("CONV_2D", [image, weights, bias], [out])
    with pytest.raises(ObliviousError, match=r"got CONV_2D \(operator 0\)\. A float stem") as e:
        read_program(builder.to_bytes([image], [out]))
    assert "models.oblivious" in str(e.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pad_values": 0}, "Pad with"),
        ({"dilation_width_factor": 2}, "no dilation"),
        ({"channels_in": 4}, "input channels"),
        ({"stride_height": 0}, "stride"),
        ({"padding": 70000}, "damaged"),
    ],
)
def test_convolutions_that_are_refused(lce_network, options, message):
    with pytest.raises(SparseBNNError, match=message):
        read_program(lce_network(0, **options))


@pytest.mark.parametrize(
    ("which", "values", "message"),
    [
        (2, [0.25, 0.5, 0.25, 0.25, 0.25], "a scale for each class"),
        (2, [-0.25] * 5, "a scale for each class"),
        (3, [np.inf, 0, 0, 0, 0], "finite scores"),
    ],
)
def test_scores_that_are_refused(lce_network, which, values, message):
    model = read(lce_network(0))
    graph = model.subgraphs[0]
    buffer = graph.tensors[graph.operators[-1].inputs[which]].buffer
    model.root.tables("buffers")[buffer]["data"] = np.array(values, np.float32).tobytes()
    with pytest.raises(SparseBNNError, match=message):
        read_program(model.to_bytes())


def test_a_file_that_ends_in_bits(lce_network):
    model = read(lce_network(0))
    model.root.tables("subgraphs")[0].tables("operators").pop()
    with pytest.raises(ObliviousError, match="ends with a binary convolution"):
        read_program(model.to_bytes())


def test_damaged_files_give_one_line(lce_network, rng):
    flat = lce_network(0)
    refused = 0
    for _ in range(400):
        damaged = bytearray(flat)
        for place in rng.integers(0, len(flat), rng.integers(1, 6)):
            damaged[place] = rng.integers(0, 256)
        try:
            read_program(bytes(damaged))
        except SparseBNNError:  # always one line; anything else fails the test
            refused += 1
    assert refused > 50
