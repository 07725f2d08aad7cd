"""Random tables come back as they were written, and mean what TensorFlow's reader says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_sparsebnn.tflite_file import Table, read, write_tables
from keras_sparsebnn.tflite_file.schema import FAR, SCHEMA, UNIONS
from tests.official_reader import official

GOLDEN = Path(__file__).parents[1] / "golden"
INDICES = {"buffer", "inputs", "outputs", "intermediates", "metadata_buffer", "shape"}
INDICES |= {"opcode_index", "subgraph_index", "tensor_index"}


@st.composite
def tables(draw, kind):
    """Any table of a kind, with any of its fields; indices are of what is there: 0 or none."""
    table = Table(kind)
    fields = [f for f in SCHEMA[kind] if not f.name.endswith("_type")]
    for field in draw(st.lists(st.sampled_from(fields), unique=True)) if fields else ():
        if field.name in FAR.get(kind, ())[1:]:
            continue
        if field.scalar:
            low, high = (0, 0) if field.name in INDICES else (None, None)
            if field.type == "<f4":
                value = st.floats(width=32)
            else:
                limits = np.iinfo(field.type)
                value = st.integers(limits.min, limits.max) if low is None else st.just(high)
            table[field.name] = draw(st.lists(value, max_size=9) if field.vector else value)
        elif field.type == "text":
            table[field.name] = draw(st.binary(max_size=20))
        else:
            member = field.type
            if member in UNIONS:
                member = draw(st.sampled_from(UNIONS[member][1:]))
            child = tables(member)
            value = st.lists(child, max_size=3) if field.vector else child
            table[field.name] = draw(value)
    if kind in FAR and len(table.vector(FAR[kind][0])) > 1:
        table.far = draw(st.booleans())
    return table


@st.composite
def models(draw):
    """A model whose indices are of what is there."""
    root = draw(tables("Model"))
    root["buffers"] = [Table("Buffer"), *root.tables("buffers")]
    root["operator_codes"] = [*root.tables("operator_codes"), Table("OperatorCode")]
    root["subgraphs"] = [draw(tables("SubGraph")), *root.tables("subgraphs")]
    for graph in root.tables("subgraphs"):
        graph["tensors"] = [*graph.tables("tensors"), draw(tables("Tensor"))]
    return root


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(root=models(), behind=st.binary(max_size=40))
def test_what_was_written_is_read(root, behind):
    flat = write_tables(root)
    assert len(flat) % 16 == 0
    assert read(flat).root == root
    assert read(flat).behind == b""
    assert read(flat).to_bytes() == flat
    behind = behind.lstrip(b"\0")
    again = read(flat + behind)
    assert (again.root, again.behind) == (root, behind)
    assert again.to_bytes() == flat + behind


def ours(table):
    """A table in the object API's form."""
    result = {}
    for field in SCHEMA[table.kind]:
        value = table.fields.get(field.name)
        if isinstance(value, np.ndarray):
            value = value.tolist()
        elif isinstance(value, Table):
            value = ours(value)
        elif isinstance(value, list):
            value = [ours(item) for item in value]
        elif value is None and field.scalar and not field.vector:
            value = field.default
        result[field.name.replace("_", "").lower()] = value
    return result


def same(mine, theirs, where):
    """Their tree says what mine says."""
    if isinstance(theirs, dict):
        for name, value in theirs.items():
            same(mine[name.lower()], value, f"{where}.{name}")
    elif isinstance(theirs, list) and theirs and isinstance(theirs[0], dict):
        assert len(mine) == len(theirs), where
        for number, pair in enumerate(zip(mine, theirs, strict=True)):
            same(*pair, f"{where}[{number}]")
    else:
        assert mine == theirs, where


def check(flat):
    pytest.importorskip("tensorflow")
    expected = official(flat)
    same(ours(read(flat).root), expected, "model")
    assert official(read(flat).to_bytes()) == expected


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.tflite")), ids=lambda path: path.stem)
def test_golden_files_mean_what_tensorflow_reads(path):
    check(path.read_bytes())


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
@pytest.mark.parametrize("quantized", [False, True])
def test_files_of_tensorflow_mean_what_it_reads(quantized):
    from keras_sparsebnn._keras import keras, tf

    layers = keras.layers
    x = image = layers.Input((12, 12, 3), batch_size=1)
    x = layers.Conv2D(8, 3, strides=2, activation="relu", dilation_rate=1)(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.Conv2DTranspose(4, 2, strides=2)(x)
    x = layers.MaxPooling2D()(x)
    x = layers.LeakyReLU(0.25)(x)
    x = tf.pad(tf.image.resize(x, (9, 9)), [[0, 0], [1, 1], [1, 1], [0, 0]])
    x = layers.Concatenate()([x[:, ::2, ::2], x[:, 1::2, 1::2][:, :5, :5]]) if False else x
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Softmax()(layers.Dense(5)(x))
    model = keras.Model(image, x)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        image = np.random.default_rng(0).normal(size=(4, 1, 12, 12, 3)).astype(np.float32)
        converter.representative_dataset = lambda: ([x] for x in image)
    check(bytes(converter.convert()))


def test_control_flow_means_what_tensorflow_reads():
    from keras_sparsebnn._keras import tf

    @tf.function(input_signature=[tf.TensorSpec([4], tf.float32)])
    def loop(x):
        for i in tf.range(5):
            x = tf.cond(
                tf.reduce_sum(x) > 3.0,
                lambda x=x: x - 1.0,
                lambda x=x, i=i: x * float(2) + tf.cast(i, tf.float32),
            )
        return x

    converter = tf.lite.TFLiteConverter.from_concrete_functions([loop.get_concrete_function()])
    flat = bytes(converter.convert())
    assert len(read(flat).subgraphs) > 2
    check(flat)
