"""What a runtime reads and refuses, and that it leaves the caller's bytes alone."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import (
    Interpreter,
    custom_ops,
    model_file,
    read_model,
)
from keras_sparsebnn.tflite_file import ModelBuilder, Table, write_tables


def adding():
    """`y = x + c`."""
    builder = ModelBuilder()
    x, y = (builder.activation([1, 4], "float32") for _ in range(2))
    c = builder.constant(np.ones((1, 4), np.float32))
    builder.operator("ADD", [x, c], [y], Table("AddOptions"))
    return builder, x, y, c


def test_runs():
    builder, x, y, _ = adding()
    flat = builder.to_bytes([x], [y])
    copy = bytes(bytearray(flat))
    outputs = Interpreter(flat).predict(np.arange(8, dtype=np.float32).reshape(2, 4))
    np.testing.assert_array_equal(outputs, np.arange(1, 9).reshape(2, 4))
    assert flat == copy


@pytest.mark.parametrize("runtime", ["litert", "lce", "delegate"])
def test_a_constant_that_is_an_input(runtime):
    # `predict` would write what it is given to the caller's bytes.
    builder, x, y, c = adding()
    flat = builder.to_bytes([x, c], [y])
    copy = bytes(bytearray(flat))
    with pytest.raises(SparseBNNError, match=r"got constant data for 'constant2', a result"):
        Interpreter(flat, runtime=runtime)
    assert flat == copy


def test_a_constant_that_is_a_result():
    builder, x, y, c = adding()
    builder.operator("RELU", [y], [c])
    with pytest.raises(SparseBNNError, match=r"constant data for 'constant2', .*\(bytes\)"):
        Interpreter(builder.to_bytes([x], [c]))


def test_a_constant_may_be_an_output():
    builder, x, y, c = adding()
    outputs = Interpreter(builder.to_bytes([x], [y, c])).predict(np.zeros((1, 4), np.float32))
    np.testing.assert_array_equal(outputs[1], np.ones((1, 4)))


@pytest.mark.parametrize("index", [-2, -(2**31), 3, 2**31 - 1])
def test_tensors_that_do_not_exist(index):
    builder, x, y, _ = adding()
    builder.graph.tables("operators")[0]["inputs"] = [x, index]
    with pytest.raises(SparseBNNError, match=f"got tensor {index} of 3"):
        read_model(builder.to_bytes([x], [y]))


def test_a_product_of_one_matrix():
    builder = ModelBuilder()
    x, y = (builder.activation([1, 4], "float32") for _ in range(2))
    builder.operator("BATCH_MATMUL", [x], [y], Table("BatchMatMulOptions"))
    with pytest.raises(SparseBNNError, match=r"got BATCH_MATMUL with inputs \[0\]"):
        Interpreter(builder.to_bytes([x], [y]))


def test_a_depthwise_convolution_without_a_bias():
    builder = ModelBuilder()
    x, y = (builder.activation([1, 2, 2, 4], "float32") for _ in range(2))
    filter = builder.constant(np.ones((1, 1, 1, 4), np.float32))
    options = Table("DepthwiseConv2DOptions", stride_w=1, stride_h=1, depth_multiplier=1)
    builder.operator("DEPTHWISE_CONV_2D", [x, filter], [y], options)
    with pytest.raises(SparseBNNError, match=r"got DEPTHWISE_CONV_2D with inputs \[0, 2\]"):
        Interpreter(builder.to_bytes([x], [y]))


@pytest.mark.parametrize(("shape", "axis"), [([], 0), ([2, 2], 2), ([2, 2], -1), ([3, 2], 0)])
def test_scales_of_an_axis_that_is_not_there(shape, axis):
    builder = ModelBuilder()
    y = builder.activation([2, 2], "float32")
    weights = builder.constant(np.ones((2, 2), np.int8))
    quantization = Table("QuantizationParameters", scale=[1, 2], zero_point=[0, 0])
    quantization["quantized_dimension"] = axis
    tensor = builder.graph.tables("tensors")[weights]
    tensor["shape"], tensor["quantization"] = shape, quantization
    builder.operator("DEQUANTIZE", [weights], [y], version=5)
    with pytest.raises(SparseBNNError, match=f"got 2 scales on axis {axis} of shape"):
        Interpreter(builder.to_bytes([], [y]))


@pytest.mark.parametrize(
    ("scale", "zero_point", "message"),
    [
        (0.1, 128, "zero point 128 of INT8"),
        (0.1, -129, "zero point -129 of INT8"),
        (0.0, 0, "scale 0.0 of INT8"),
        (-1.0, 0, "scale -1.0 of INT8"),
        (1e-39, 0, r"scale 1\.0.*e-39 of INT8"),
        (np.nan, 0, "scale nan of INT8"),
        (np.inf, 0, "scale inf of INT8"),
    ],
)
def test_quantization_that_is_not_valid(scale, zero_point, message):
    """XNNPACK's message about it ended the process."""
    builder = ModelBuilder()
    x = builder.activation([2, 2], "float32")
    y = builder.activation([2, 2], "int8", scale, zero_point)
    builder.operator("QUANTIZE", [x], [y])
    with pytest.raises(SparseBNNError, match=f"got {message}, tensor 'tensor1'"):
        Interpreter(builder.to_bytes([x], [y]))


@pytest.mark.parametrize(
    ("integers", "floats"),
    [
        ((16, 3), (5, 3)),  # XNNPACK made them in memory of the smaller shape
        ((5, 0), (5, 0)),  # TFLite read one
    ],
)
def test_floats_of_a_constant(integers, floats):
    builder = ModelBuilder()
    weights = builder.constant(np.ones(integers, np.int8))
    count = integers[0]
    scales = Table("QuantizationParameters", scale=[1] * count, zero_point=[0] * count)
    builder.graph.tables("tensors")[weights]["quantization"] = scales
    y = builder.activation(floats, "float32")
    builder.operator("DEQUANTIZE", [weights], [y], version=5)
    message = re.escape(f"DEQUANTIZE from shape {list(integers)} to {list(floats)}")
    with pytest.raises(SparseBNNError, match=message):
        Interpreter(builder.to_bytes([], [y]))


def conditional(*calls: int) -> bytes:
    """Graphs of one IF each, graph i calling graph `calls[i]`."""
    builder = ModelBuilder()
    x, y = (builder.activation([1, 3], "float32") for _ in range(2))
    true = builder.constant(np.ones(1, bool))
    builder.operator("IF", [true, x], [y])
    graphs = []
    for callee in calls:
        options = Table("IfOptions", then_subgraph_index=callee, else_subgraph_index=callee)
        node = Table("Operator", **builder.graph.tables("operators")[0].fields)
        node["builtin_options"] = options
        tensors = builder.graph.tables("tensors")
        graphs.append(Table("SubGraph", tensors=tensors, inputs=[x], outputs=[y]))
        graphs[-1]["operators"] = [node]
    builder.operator("ABS", [x], [y], Table("AbsOptions"))
    last = Table("SubGraph", tensors=tensors, inputs=[x], outputs=[y])
    last["operators"] = builder.graph.tables("operators")[1:]
    builder.root["subgraphs"] = [*graphs, last]
    return write_tables(builder.root)


def test_graphs_that_call_graphs():
    outputs = Interpreter(conditional(1, 2)).predict(np.float32([[-1, 2, -3]]))
    np.testing.assert_array_equal(outputs, [[1, 2, 3]])


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        ((1, 1), "subgraphs that call themselves"),  # stock LiteRT: a stack without end
        ((1, 2, 0), "subgraphs that call themselves"),
        ((1, -1), "a call of subgraph -1 of 3"),
        ((1, 7), "a call of subgraph 7 of 3"),
        (range(1, 100), "call each other more than 64 deep"),
    ],
)
def test_graphs_that_may_not(calls, message):
    with pytest.raises(SparseBNNError, match=message):
        Interpreter(conditional(*calls))


def test_names_that_would_break_the_line(tmp_path):
    builder, x, y, _ = adding()
    builder.operator("Nobody\nknows\x1b[2Jthis", [y], [y])
    with pytest.raises(SparseBNNError, match=r"Nobody knows \[2Jthis") as caught:
        Interpreter(builder.to_bytes([x], [y]))
    assert str(caught.value).isprintable()


def test_too_little_memory_to_read(monkeypatch, tmp_path):
    def read(source):
        raise MemoryError

    monkeypatch.setattr(model_file, "read", read)
    with pytest.raises(SparseBNNError, match=r"Expected enough memory .*\(bytes\)"):
        Interpreter(b"anything")


class TestReadModel:
    def test_accepts_a_path_and_bytes(self, lce_file):
        data = lce_file.read_bytes()
        assert read_model(lce_file) == (data, str(lce_file))
        assert read_model(data) == (data, "bytes")

    def test_names_custom_ops(self, lce_file, stock_file):
        assert custom_ops(lce_file.read_bytes()) == ["LceBconv2d", "LceQuantize"]
        assert custom_ops(stock_file.read_bytes()) == []

    def test_no_prefix_of_a_file_passes(self, lce_file):
        # LCE's interpreter crashes the process on most of these.
        data = lce_file.read_bytes()
        for length in (*range(64), *range(64, len(data) - 1, max(1, len(data) // 300))):
            with pytest.raises(SparseBNNError, match=r"Expected a (readable )?\.tflite"):
                read_model(data[:length])

    def test_changed_bytes_raise_one_line_or_pass(self, lce_file, rng):
        data = lce_file.read_bytes()
        refused = []
        for _ in range(1500):
            changed = bytearray(data)
            for position in rng.integers(8, min(len(data), 4000), rng.integers(1, 5)):
                changed[position] = rng.integers(256)
            try:
                read_model(bytes(changed))
            except SparseBNNError as error:
                refused.append(str(error))
        assert len(refused) > 150
        assert not any("\n" in message for message in refused)

    @pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 7, b"not a model" * 9])
    def test_refuses_other_bytes(self, data):
        with pytest.raises(SparseBNNError, match=r"Expected a \.tflite .*\(bytes\)"):
            read_model(data)

    def test_bounds_the_length(self, tmp_path):
        path = tmp_path / "huge.tflite"
        with path.open("wb") as file:
            file.truncate(2**31)  # sparse: takes no room
        with pytest.raises(SparseBNNError, match="8 to 2147483647 bytes, got 2147483648"):
            read_model(path)

    def test_bounds_the_work_when_tables_are_aliased(self):
        # 400 mentions of one subgraph with 400 mentions of one operator: 160,000 visits asked
        # for by 3 kB. Offsets only point forward: root, vtables, then outside in.
        items = 400
        sizes = {
            "model_vtable": 12,
            "subgraph_vtable": 12,
            "operator_vtable": 4,
            "model": 8,
            "subgraphs": 4 + 4 * items,
            "subgraph": 8,
            "operators": 4 + 4 * items,
            "operator": 4,
        }
        starts = np.cumsum([8, *sizes.values()]).tolist()
        at = dict(zip(sizes, starts, strict=False))
        data = bytearray(starts[-1])
        struct.pack_into("<I4s", data, 0, at["model"], b"TFL3")
        # vtable bytes, table bytes, then where each field is: "subgraphs" is field 2 of a
        # model, "operators" field 3 of a subgraph.
        struct.pack_into("<5H", data, at["model_vtable"], 10, 8, 0, 0, 4)
        struct.pack_into("<6H", data, at["subgraph_vtable"], 12, 8, 0, 0, 0, 4)
        struct.pack_into("<2H", data, at["operator_vtable"], 4, 4)
        for table in ("model", "subgraph", "operator"):
            struct.pack_into("<i", data, at[table], at[table] - at[f"{table}_vtable"])
        for table, vector, target in (
            ("model", "subgraphs", "subgraph"),
            ("subgraph", "operators", "operator"),
        ):
            struct.pack_into("<I", data, at[table] + 4, at[vector] - at[table] - 4)
            struct.pack_into("<I", data, at[vector], items)
            for where in range(at[vector] + 4, at[vector] + 4 + 4 * items, 4):
                struct.pack_into("<I", data, where, at[target] - where)
        with pytest.raises(SparseBNNError, match=r"got (more than 200000 tables|vectors of)"):
            read_model(bytes(data))

    def test_missing_file(self):
        with pytest.raises(FileNotFoundError, match="No such file"):
            read_model("/nowhere/model.tflite")
