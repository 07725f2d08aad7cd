"""What a runtime refuses to load, and that it leaves the caller's bytes alone."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import Interpreter, model_file, read_model
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
