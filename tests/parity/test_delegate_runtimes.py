"""The delegate as a guest of each TFLite that is installed: shapes, threads, memory, errors."""

from __future__ import annotations

import importlib.util
import itertools
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from flatbuffers.flexbuffers import Dumps

SAME = 0


RUNTIMES = ("ai_edge_litert", "tflite_runtime", "tensorflow.lite.python")
INSTALLED = [
    name for name in RUNTIMES if importlib.util.find_spec(name.partition(".")[0]) is not None
]


@pytest.fixture(params=INSTALLED)
def guest(request, runner):
    """The delegate in one runtime."""
    return runner.in_runtime(importlib.import_module(f"{request.param}.interpreter"))


def plain(channels):
    """Of a plain 3x3 convolution."""
    return {
        "channels_in": channels,
        **{f"dilation_{side}_factor": 1 for side in ("height", "width")},
        **{"fused_activation_function": 0, "pad_values": 1, "padding": SAME},
        **{f"stride_{side}": 1 for side in ("height", "width")},
    }


GOOD = plain(40)


def network(op_model, seed=0, channels=40, **changed):
    """Floats -> bits -> convolution -> bits -> pool -> convolution -> floats, and its input."""
    rng = np.random.default_rng(seed)
    model = op_model()
    x = model.activation([1, 12, 12, channels], "float32")
    add_network(model, x, rng, channels, **changed)
    image = rng.normal(size=(1, 12, 12, channels)).astype(np.float32)
    return model.to_bytes([x], [len(model.graph.tables("tensors")) - 1]), image


def add_network(model, x, rng, channels, side=12, **changed):
    """Appends the ops; the last tensor is the output."""
    half, words = side // 2, -(-channels // 32)
    options = {**plain(channels), **changed}
    pool = {"filter_height": 2, "filter_width": 2, "stride_height": 2, "stride_width": 2}
    bits = rng.integers(0, 2, (2, channels, 3, 3, words * 32), np.uint8)
    bits[..., channels:] = 0
    filters = np.packbits(bits, axis=-1, bitorder="little").view("<i4")
    thresholds = rng.integers(channels * 3, channels * 6, channels, np.int32)
    constants = [
        model.constant(values)
        for values in (
            *filters,
            thresholds,
            rng.normal(size=channels).astype(np.float32),
            rng.normal(size=channels).astype(np.float32),
        )
    ]
    a = model.activation([1, side, side, words], "int32")
    b = model.activation([1, side, side, words], "int32")
    c = model.activation([1, half, half, words], "int32")
    y = model.activation([1, half, half, channels], "float32")
    model.operator("LceQuantize", [x], [a])
    model.operator("LceBconv2d", [a, constants[0], -1, -1, constants[2]], [b], options)
    model.operator("LceBMaxPool2d", [b], [c], {**pool, "padding": SAME})
    model.operator("LceBconv2d", [c, constants[1], *constants[3:], -1], [y], options)


@pytest.fixture
def expected(runner, op_model):
    """Outputs of `network(seed)`, by the reference kernel in one thread."""

    def outputs(seed=0):
        flat, image = network(op_model, seed)
        return runner.run(flat, image, kernel="reference", num_threads=1)[0]

    return outputs


@pytest.mark.smoke
def test_runs(guest, op_model, expected):
    flat, image = network(op_model)
    delegate = guest.load(profile=1)
    interpreter = guest.interpreter(flat, delegate)
    (ours,) = guest.run_on(interpreter, image)
    np.testing.assert_array_equal(ours, expected())
    (partition,) = guest.profile(delegate)["partitions"]
    assert [node["op"] for node in partition["nodes"]] == [
        "LceQuantize",
        "LceBconv2d",
        "LceBMaxPool2d",
        "LceBconv2d",
    ]
    assert all(node["runs"] == 1 for node in partition["nodes"])
    assert all(node["ns"] > 0 for node in partition["nodes"])
    # The bits of two neighbours at a time, 12 x 12 x 2 words each.
    assert partition["arena_bytes"] == 2 * 12 * 12 * 2 * 4


def test_resizing_there_and_back(guest, op_model, expected):
    flat, image = network(op_model)
    interpreter = guest.interpreter(flat)
    for batch, side in itertools.product((1, 3), (12, 5, 20)):
        images = np.resize(image, (batch, side, side, image.shape[-1]))
        outputs = guest.run_on(interpreter, images)[0]
        assert outputs.shape == (batch, -(-side // 2), -(-side // 2), image.shape[-1])
        fresh = guest.run(flat, images, kernel="reference")[0]
        np.testing.assert_array_equal(outputs, fresh)
    np.testing.assert_array_equal(guest.run_on(interpreter, image)[0], expected())


def test_an_input_whose_shape_is_computed(guest, op_model, expected):
    """A reshape to a shape that is an input: known only while the model runs."""
    rng = np.random.default_rng(0)
    model = op_model()
    flat_x = model.activation([1, 12 * 12 * 40], "float32")
    shape = model.activation([4], "int32")
    x = model.activation([1, 12, 12, 40], "float32")
    model.operator("RESHAPE", [flat_x, shape], [x])
    add_network(model, x, rng, 40)
    image = rng.normal(size=(1, 12, 12, 40)).astype(np.float32)
    flat = model.to_bytes([flat_x, shape], [len(model.graph.tables("tensors")) - 1])
    interpreter = guest.interpreter(flat)
    for _ in range(2):
        (ours,) = guest.run_on(
            interpreter, image.reshape(1, -1), np.array(image.shape, np.int32)
        )
        np.testing.assert_array_equal(ours, expected())
    (halves,) = guest.run_on(
        interpreter, image.reshape(1, -1), np.array([2, 6, 12, 40], np.int32)
    )
    assert halves.shape == (2, 3, 6, 40)


@pytest.mark.parametrize("shared", [True, False], ids=["one delegate", "a delegate each"])
def test_interpreters_in_threads(guest, op_model, expected, shared):
    models = [network(op_model, seed) for seed in range(4)]
    answers = [expected(seed) for seed in range(4)]
    delegate = guest.load(num_threads=2)
    wrong: list[int] = []

    def work(i):
        flat, image = models[i]
        own = delegate if shared else guest.load(num_threads=2)
        for _ in range(5):
            interpreter = guest.interpreter(flat, own)
            for _ in range(5):
                if not np.array_equal(guest.run_on(interpreter, image)[0], answers[i]):
                    wrong.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_the_interpreters_threads_are_used(guest, op_model):
    flat, image = network(op_model)
    for threads in (1, 3):
        delegate = guest.load()
        guest.run_on(interpreter := guest.interpreter(flat, delegate, threads), image)
        (partition,) = guest.profile(delegate)["partitions"]
        assert partition["threads"] == threads
        del interpreter


def test_memory_is_given_back(guest, op_model):
    flat, image = network(op_model)
    page = os.sysconf("SC_PAGE_SIZE")

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * page

    def run(times):
        for _ in range(times):
            delegate = guest.load(num_threads=2)
            interpreter = guest.interpreter(flat, delegate)
            guest.run_on(interpreter, image)
            del interpreter, delegate

    run(60)
    before = resident()
    run(240)
    # A leaked convolution would be about 24 kB each time, a thread's stack more: over 5 MB.
    assert resident() - before < 2**21


def test_a_profile_ends_with_its_interpreter(guest, op_model):
    flat, image = network(op_model)
    delegate = guest.load()
    interpreter = guest.interpreter(flat, delegate)
    guest.run_on(interpreter, image)
    assert len(guest.profile(delegate)["partitions"]) == 1
    del interpreter
    assert guest.profile(delegate)["partitions"] == []


# ---- What is refused, and how ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 1}, "Expected option num_threads, kernel, isa, .* got 'threads'"),
        ({"num_threads": 0}, r"Expected option num_threads to be 1\.\.256, got '0'"),
        ({"num_threads": -1}, r"num_threads to be 1\.\.256, got '-1'"),
        ({"num_threads": 257}, r"num_threads to be 1\.\.256, got '257'"),
        ({"num_threads": "9" * 99}, r"num_threads to be 1\.\.256, got '9{60}\.\.\.'"),
        ({"num_threads": ""}, r"num_threads to be 1\.\.256, got ''"),
        ({"kernel": "fast"}, "kernel to be auto, xnor, codebook or reference, got 'fast'"),
        ({"isa": "sse"}, "isa to be auto, scalar, avx2, avx512 or neon, got 'sse'"),
        ({"profile": "yes"}, "profile to be 0 or 1, got 'yes'"),
        ({"verbose": "\n\x01"}, r"verbose to be 0 or 1, got '\?\?'"),
    ],
)
def test_wrong_delegate_options(guest, options, message):
    with pytest.raises(ValueError, match=message):
        guest.load(**options)


def test_an_instruction_set_of_another_machine(runner, monkeypatch):
    (missing, *_) = [isa for isa in ("neon", "avx2") if isa not in runner.isas]
    with pytest.raises(ValueError, match=f"instruction set of this machine, got '{missing}'"):
        runner.load(isa=missing)
    monkeypatch.setenv("SPARSEBNN_ISA", missing)
    with pytest.raises(ValueError, match=f"SPARSEBNN_ISA .* got '{missing}'"):
        runner.load()
    monkeypatch.setenv("SPARSEBNN_ISA", "sse")
    with pytest.raises(ValueError, match=r"SPARSEBNN_ISA to be auto, scalar, .* got 'sse'"):
        runner.load()


def test_the_environment_pins_the_instruction_set(runner, op_model, monkeypatch):
    flat, image = network(op_model)
    for isa in runner.isas:
        monkeypatch.setenv("SPARSEBNN_ISA", isa)
        delegate = runner.load()
        runner.run_on(interpreter := runner.interpreter(flat, delegate), image)
        assert runner.profile(delegate)["isa"] == isa
        del interpreter


def convolution(model, options=GOOD, **changed):
    """One LceBconv2d whose parts can be replaced; returns the file."""
    parts = {
        "x": model.activation([1, 6, 6, 2], "int32"),
        "filter": np.zeros((8, 3, 3, 2), np.int32),
        "multiplier": np.ones(8, np.float32),
        "bias": np.zeros(8, np.float32),
        "thresholds": -1,
        "y": model.activation([1, 6, 6, 8], "float32"),
        **changed,
    }
    tensors = [
        model.constant(part) if isinstance(part, np.ndarray) else part
        for part in parts.values()
    ]
    model.operator("LceBconv2d", tensors[:5], tensors[5:], options)
    return model.to_bytes(tensors[:1], tensors[5:])


def floats(*shape):
    return np.zeros(shape, np.float32)


def ints(*shape):
    return np.zeros(shape, np.int32)


NODE = r"sparsebnn: node 0 \(LceBconv2d\)"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"options": b""}, "Expected options as a FlexBuffer map"),
        ({"options": b"\xff" * 40}, "Expected options as a FlexBuffer map"),
        ({"options": {}}, r"Expected option channels_in in 1\.\.65535, got none"),
        ({"options": {**GOOD, "stride_width": 0}}, r"stride_width in 1\.\.256, got 0"),
        ({"options": {**GOOD, "stride_width": -1}}, r"stride_width in 1\.\.256, got -1"),
        ({"options": {**GOOD, "padding": 2}}, r"padding in 0\.\.1, got 2"),
        ({"options": {**GOOD, "pad_values": 3}}, r"pad_values in 0\.\.1, got 3"),
        ({"options": {**GOOD, "channels_in": 2**40}}, r"channels_in in 1\.\.65535, got 1099"),
        (
            {"options": bytes(Dumps({**GOOD, "channels_in": "x"}))},
            "channels_in .* got no integer",
        ),
        ({"options": {**GOOD, "fused_activation_function": 4}}, r"in 0\.\.3, got 4"),
        ({"options": {**GOOD, "channels_in": 64 + 33}}, r"divide into groups for 97 channels"),
        ({"options": {**GOOD, "channels_in": 200}}, r"divide into groups for 200 channels"),
        ({"filter": ints(8, 3, 3, 3)}, r"tensor 'constant\d': .* got \[8, 3, 3, 3\]"),
        ({"filter": ints(8, 3, 3)}, r"Expected 4 dimensions, got \[8, 3, 3\]"),
        ({"filter": ints(8, 40, 3, 2)}, r"sides up to 31, got \[8, 40, 3, 2\]"),
        ({"filter": floats(8, 3, 3, 2)}, r"constant int32 .* got float32"),
        ({"filter": -1}, "Expected a filter, got no tensor"),
        ({"multiplier": -1}, r"Expected constant float32 \[8\], got no tensor"),
        ({"multiplier": floats(7)}, r"Expected constant float32 \[8\], got float32 \[7\]"),
        ({"bias": ints(8)}, r"Expected constant float32 \[8\], got int32 \[8\]"),
    ],
)
def test_a_wrong_convolution_is_named(guest, op_model, changed, message):
    flat = convolution(op_model(), **changed)
    with pytest.raises((RuntimeError, ValueError), match=f"{NODE}.*{message}"):
        guest.run(flat, ints(1, 6, 6, 2))


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ([1, 6, 6, 8], "int16", "Expected float32, int8 or int32, got type 7"),
        ([1, 6, 6, 8], "int8", "Expected a positive scale, got 0.0"),
        ([1, 6, 6, 1], "int32", r"Expected constant int32 \[8\], got no tensor"),
    ],
)
def test_a_wrong_output_is_named(guest, op_model, shape, dtype, message):
    model = op_model()
    flat = convolution(model, y=model.activation(shape, dtype))
    with pytest.raises((RuntimeError, ValueError), match=f"{NODE}.*{message}"):
        guest.run(flat, ints(1, 6, 6, 2))


def test_a_filter_that_is_computed_is_refused(guest, op_model):
    model = op_model()
    x = model.activation([1, 6, 6, 2], "int32")
    weights = model.activation([8, 3, 3, 2], "int32")
    y = model.activation([1, 6, 6, 8], "float32")
    ones = model.constant(np.ones(8, np.float32))
    model.operator("LceBconv2d", [x, weights, ones, ones, -1], [y], GOOD)
    flat = model.to_bytes([x, weights], [y])
    with pytest.raises((RuntimeError, ValueError), match="got a tensor that is computed"):
        guest.run(flat, ints(1, 6, 6, 2), ints(8, 3, 3, 2))


def test_an_image_that_is_too_small(guest, op_model):
    flat = convolution(op_model(), options={**GOOD, "padding": 1})
    interpreter = guest.interpreter(flat)
    with pytest.raises((RuntimeError, ValueError), match=r"fits into, got \[1, 2, 6, 2\]"):
        guest.run_on(interpreter, ints(1, 2, 6, 2))


SUB_BIT = {**GOOD, "format_version": 1, "index_bits": 2, "channels_out": 8, "groups": 1}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"format_version": 2},
            "Expected sub-bit format version 1, got 2. Use a newer delegate",
        ),
        ({"index_bits": 10}, r"index_bits in 1\.\.9, got 10"),
        ({"index_bits": 3}, r"Expected constant uint8 \[120\], got uint8 \[80\]"),
        ({"channels_out": 9}, r"Expected constant uint8 \[90\], got uint8 \[80\]"),
        ({"groups": 3}, "Expected channels that divide into groups"),
        ({"codebook": np.arange(3, dtype=np.uint16)}, "another at position 1"),
        ({"codebook": np.arange(5, dtype=np.uint16)}, r"1\.\.4 codewords .* got \[5\]"),
        ({"codebook": np.array([0, 512], np.uint16)}, r"codewords in 0\.\.511 .* got 512"),
        ({"codebook": np.arange(4, dtype=np.int32)}, r"constant uint16 \[4\], got int32 \[4\]"),
    ],
)
def test_a_wrong_sub_bit_convolution_is_named(guest, op_model, changed, message):
    model = op_model()
    x = model.activation([1, 6, 6, 2], "int32")
    y = model.activation([1, 6, 6, 8], "float32")
    changed = dict(changed)
    codebook = changed.pop("codebook", np.arange(4, dtype=np.uint16))
    indices = model.constant(np.full(80, 0b11001100, np.uint8))
    ones = model.constant(np.ones(8, np.float32))
    inputs = [x, indices, model.constant(codebook), ones, ones, -1]
    model.operator("SparsebnnBconv2d", inputs, [y], {**SUB_BIT, **changed})
    with pytest.raises((RuntimeError, ValueError), match=message):
        guest.run(model.to_bytes([x], [y]), ints(1, 6, 6, 2))


def test_an_unknown_op_is_left_to_the_runtime(guest, op_model):
    model = op_model()
    x, y = (model.activation([1, 4], "float32") for _ in range(2))
    model.operator("LceSomethingNew", [x], [y])
    with pytest.raises((RuntimeError, ValueError), match="LceSomethingNew"):
        guest.run(model.to_bytes([x], [y]), floats(1, 4))
