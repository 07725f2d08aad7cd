"""What LCE's kernels crash on is refused before LCE's interpreter sees it.

Each case ended a process with a signal when the mutation fuzzer found it.
"""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import Interpreter
from keras_sparsebnn.tflite_file import ModelBuilder, Table, read
from keras_sparsebnn.tflite_file.flexbuffer import write_map

pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")


@pytest.fixture
def plain(lce_model):
    return read(lce_model((np.zeros((8, 3, 3, 1), np.int32), 32)))


def refused(model, message):
    with pytest.raises(SparseBNNError, match=message) as caught:
        Interpreter(model.to_bytes(), runtime="lce")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("(bytes).")


def test_a_good_one_runs(plain):
    interpreter = Interpreter(plain.to_bytes(), runtime="lce")
    assert interpreter.predict(np.zeros((1, 4, 4, 1), np.int32)).shape == (1, 4, 4, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride_width": 0}, r"option stride_width = 0, not in \[1, 256\]"),
        ({"dilation_height_factor": -1}, "option dilation_height_factor = -1"),
        ({"channels_in": 2**63}, "option channels_in = 9223372036854775808"),
        ({"padding": 7}, r"option padding = 7, not in \[0, 1\]"),
        ({"channels_in": 64}, "64 channels, 1 words and a filter of"),
        ({"pad_values": None}, "option pad_values = None"),
    ],
)
def test_options(plain, options, message):
    (operator,) = plain.subgraphs[0].operators
    changed = {**operator.options, **options}
    left = {name: value for name, value in changed.items() if value is not None}
    operator.table["custom_options"] = write_map(left)
    refused(plain, message)


def test_no_options(plain):
    del plain.subgraphs[0].operators[0].table.fields["custom_options"]
    refused(plain, "option stride_height = None")


@pytest.mark.parametrize(
    "inputs", [[0], [0, 1, 2, 3], [0, 1, 2, 3, -1, -1], [], [-1, 1, 2, 3, -1]]
)
def test_inputs(plain, inputs):
    plain.subgraphs[0].operators[0].table["inputs"] = inputs
    refused(plain, r"got inputs \(.* \(operator 0, LceBconv2d\)")


def test_no_output(plain):
    plain.subgraphs[0].operators[0].table["outputs"] = []
    refused(plain, r"outputs \(\)")


def test_an_operator_that_has_become_another(plain):
    code = plain.root.tables("operator_codes")[1]
    code["custom_code"] = "LceBMaxPool2d"
    refused(plain, r"operator 0, LceBMaxPool2d")


def test_thresholds_that_are_not_there(plain):
    output = plain.subgraphs[0].operators[0].outputs[0]
    plain.subgraphs[0].tensors[output].table["type"] = 2
    refused(plain, r"no INT32 of shape \[8\] for its output")


def test_a_multiplier_of_another_type(plain):
    multiplier = plain.subgraphs[0].operators[0].inputs[2]
    plain.subgraphs[0].tensors[multiplier].table["type"] = 2
    refused(plain, "Expected FLOAT32 data of shape")


def test_a_filter_without_data(plain):
    (operator,) = plain.subgraphs[0].operators
    plain.subgraphs[0].tensors[operator.inputs[1]].table["buffer"] = 0
    refused(plain, "Expected INT32 data of shape .* 0 bytes")


def test_shapes(plain):
    plain.subgraphs[0].tensors[0].table["shape"] = [4, 4, 1]
    refused(plain, r"shape \[4, 4, 1\]")


def test_groups_of_a_float_convolution():
    # TFLite of LCE's age divided by 8 // 64 outputs a group.
    builder = ModelBuilder()
    x, y = (builder.activation([1, 3, 3, n], "float32") for n in (64, 8))
    weights = builder.constant(np.ones((8, 1, 64, 1), np.float32))
    convolution = Table("Conv2DOptions", stride_w=1, stride_h=1)
    builder.operator("CONV_2D", [x, weights, -1], [y], convolution)
    refused(read(builder.to_bytes([x], [y])), r"shapes \(1, 3, 3, 64\) and \(8, 1, 64, 1\)")


CONV = {"stride_w": 1, "stride_h": 1}
POOL = {**CONV, "filter_width": 2, "filter_height": 2}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "CONV_2D",
            Table("Conv2DOptions", **CONV, dilation_h_factor=65536),
            "dilation_h_f.* 65",
        ),
        ("CONV_2D", Table("Conv2DOptions", stride_w=1), r"stride_h = 0, not in \[1, 32767\]"),
        ("CONV_2D", Table("Pool2DOptions", **POOL), "no Conv2DOptions"),
        ("CONV_2D", None, "no Conv2DOptions"),
        ("MAX_POOL_2D", Table("Pool2DOptions", **POOL, padding=29), r"= 29, not in \[0, 1\]"),
        ("AVERAGE_POOL_2D", Table("Pool2DOptions", **POOL, padding=2), "padding = 2"),
        ("MAX_POOL_2D", Table("Pool2DOptions", **CONV, filter_width=2), "filter_height = 0"),
    ],
)
def test_windows_of_stock_operators(name, options, message):
    builder = ModelBuilder()
    x, y = (builder.activation([1, 4, 4, 8], "float32") for _ in range(2))
    filter = builder.constant(np.ones((8, 1, 1, 8), np.float32))
    inputs = [x, filter, -1] if name == "CONV_2D" else [x]
    builder.operator(name, inputs, [y], options)
    refused(read(builder.to_bytes([x], [y])), message)


def test_a_pool_of_other_channels():
    """LCE's interpreter divided by 8 // 12 outputs a group, by shapes that it computes."""
    builder = ModelBuilder()
    x, y, z = (builder.activation([1, 4, 4, n], "float32") for n in (96, 8, 8))
    filter = builder.constant(np.ones((8, 1, 1, 8), np.float32))
    options = Table("Pool2DOptions", **CONV, filter_width=1, filter_height=1)
    builder.operator("AVERAGE_POOL_2D", [x], [y], options)
    builder.operator("CONV_2D", [y, filter, -1], [z], Table("Conv2DOptions", **CONV))
    refused(read(builder.to_bytes([x], [z])), r"shapes \(1, 4, 4, 96\) and \(1, 4, 4, 8\)")
