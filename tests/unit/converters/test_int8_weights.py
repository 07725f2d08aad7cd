"""int8 weights: right in every interpreter, small, and no more wrong than they must be."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn.converters import ModelFileError, quantize_weights
from keras_sparsebnn.converters.int8_weights import has_int8_weights, quantized
from keras_sparsebnn.tflite_file import ModelBuilder, Table, read, write_tables

INPUT = (1, 16, 16, 3)


@pytest.fixture(scope="module")
def network():
    """A stock float file with every kind of layer that is quantised."""
    from keras_sparsebnn._keras import keras, tf

    keras.utils.set_random_seed(5)
    layers = keras.layers
    x = images = layers.Input(INPUT[1:], batch_size=1)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.Conv2DTranspose(16, 2, strides=2)(x)
    x = layers.Conv2D(64, 1)(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, layers.Dense(100)(x))
    return bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def constants(model):
    """Name -> float32 or int8 weights, dequantised by hand."""
    file = read(model)
    found = {}
    for tensor in file.subgraphs[0].tensors:
        if file.data(tensor) and tensor.dtype == "FLOAT32":
            found[tensor.name] = file.constant(tensor, "FLOAT32"), None
        elif file.data(tensor) and tensor.dtype == "INT8":
            quantization = tensor.table.table("quantization")
            scale = quantization.vector("scale")
            assert quantization.integers("zero_point") == (0,) * len(scale)
            shape = [1] * len(tensor.shape)
            axis = quantization.integer("quantized_dimension")
            shape[axis] = tensor.shape[axis]
            scale = scale.reshape(shape)
            found[tensor.name] = file.constant(tensor, "INT8") * scale, scale
    return found


class TestQuantized:
    def test_error_is_half_a_step(self, rng):
        weights = rng.normal(size=(7, 5, 3)).astype(np.float32) * 10.0 ** rng.integers(
            -6, 6, (1, 5, 1)
        )
        weights = weights.astype(np.float32)
        values, scale = quantized(weights, 1)
        step = scale.reshape(1, 5, 1)
        # One rounding of the quotient, one of the product: a few parts in 2^24 of 127 steps.
        bound = step * (0.5 + 127 * 3 * 2.0**-24)
        assert (np.abs(values * step - weights) <= bound).all()
        assert (np.abs(values).max(axis=(0, 2)) == 127).all()

    def test_extremes(self):
        weights = np.array([[0, 0], [1e-45, 0], [3e38, -3e38]], np.float32)
        values, scale = quantized(weights, 0)
        assert np.isfinite(scale).all()
        assert (scale > 0).all()
        assert values.tolist() == [[0, 0], [0, 0], [127, -127]]


class TestFile:
    def test_every_weight_once_and_nothing_else(self, network):
        before, after = constants(network), constants(quantize_weights(network))
        assert set(after) == set(before)
        rounded = [name for name, (_, scale) in after.items() if scale is not None]
        assert len(rounded) == 5
        for name, (values, scale) in after.items():
            expected, _ = before[name]
            if scale is None:
                np.testing.assert_array_equal(values, expected)
            else:
                assert (np.abs(values - expected) <= scale * 0.5001).all()

    def test_size(self, network):
        weights = sum(w.size for w, _ in constants(network).values() if w.ndim > 1)
        assert len(network) - len(quantize_weights(network)) > 3 * weights - 5 * 256 - 12 * 244

    def test_is_idempotent_and_recognised(self, network):
        rounded = quantize_weights(network)
        assert quantize_weights(rounded) is rounded
        assert has_int8_weights(read(rounded))
        assert not has_int8_weights(read(network))

    def test_small_and_strange_weights_stay(self, lce_model, network):
        plain = lce_model((np.zeros((8, 3, 3, 1), np.int32), 32))
        assert quantize_weights(plain) is plain
        root = read(network).root
        for buffer in root.tables("buffers"):
            if len(buffer.vector("data")) >= 1024:
                nan = np.full(len(buffer.vector("data")) // 4, np.nan, "<f4")
                buffer["data"] = nan.tobytes()
        strange = write_tables(root)
        assert {n: s for n, (_, s) in constants(quantize_weights(strange)).items() if s is None}

    def test_two_tensors_with_one_buffer(self, network):
        root = read(network).root
        graph = root.tables("subgraphs")[0]
        name = "a second reader of the classifier"
        dense = read(network).subgraphs[0].operators[-1]
        copy = read(network).root.tables("subgraphs")[0].tables("tensors")[dense.inputs[1]]
        copy["name"] = name
        graph.append("tensors", copy)
        shared = write_tables(root)
        after = constants(quantize_weights(shared))
        assert after[name][1] is None  # nothing computes with it
        assert sum(scale is not None for _, scale in after.values()) == 5

    def test_buffer_zero_is_not_empty(self, network):
        root = read(network).root
        root.tables("buffers")[0]["data"] = b"full"
        with pytest.raises(ModelFileError, match="Expected buffer 0 to be empty"):
            quantize_weights(write_tables(root))


class TestRuns:
    @pytest.mark.parametrize("runtime", ["litert", "lce"])
    def test_equals_the_float_file_with_the_same_weights(self, network, rng, runtime):
        if runtime == "lce":
            pytest.importorskip("larq_compute_engine")
        from keras_sparsebnn.runtime import Interpreter

        rounded = quantize_weights(network)
        # The float file with what the int8 weights stand for.
        root, file = read(network).root, read(network)
        for name, (values, scale) in constants(rounded).items():
            if scale is not None:
                (tensor,) = (t for t in file.subgraphs[0].tensors if t.name == name)
                data = values.astype("<f4").tobytes()
                root.tables("buffers")[tensor.buffer]["data"] = data
        x = rng.normal(size=(3, *INPUT[1:])).astype(np.float32)
        got, expected, exact = (
            Interpreter(model, runtime=runtime).predict(x)
            for model in (rounded, write_tables(root), network)
        )
        # The same kernels on the same numbers.
        np.testing.assert_array_equal(got, expected)
        assert 0 < np.abs(got - exact).max() < 0.02 * np.abs(exact).max()


def shared_weights(*, gathered=False, sparse=False, output=False):
    """A fully connected layer whose weights something else may read, before it does."""
    rng = np.random.default_rng(0)
    builder = ModelBuilder()
    x, y = builder.activation([1, 64], "float32"), builder.activation([1, 64], "float32")
    weights = builder.constant(rng.normal(size=(64, 64)).astype(np.float32))
    outputs = [y]
    if gathered:
        rows = builder.activation([2, 64], "float32")
        numbers = builder.constant(np.array([3, 5], np.int32))
        builder.operator("GATHER", [weights, numbers], [rows], Table("GatherOptions"))
        outputs.append(rows)
    if output:
        outputs.append(weights)
    builder.operator("FULLY_CONNECTED", [x, weights, -1], [y], Table("FullyConnectedOptions"))
    file = read(builder.to_bytes([x], outputs))
    if sparse:
        tensor = file.subgraphs[0].tensors[weights].table
        tensor["sparsity"] = Table("SparsityParameters")
    return file.to_bytes()


@pytest.mark.parametrize("kind", ["gathered", "sparse", "output"])
def test_weights_that_something_else_reads_stay_as_they_are(kind):
    """DEQUANTIZE would come after their first reader, or make no constant of a constant."""
    assert len(quantize_weights(shared_weights())) < len(shared_weights())
    model = shared_weights(**{kind: True})
    assert quantize_weights(model) == model
