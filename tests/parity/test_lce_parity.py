"""Keras (frozen) = LCE's interpreter, for any geometry that a binary layer can have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

lce = pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from larq_compute_engine.tflite.python.interpreter import Interpreter  # noqa: E402

from keras_sparsebnn import freeze, models  # noqa: E402
from keras_sparsebnn._keras import keras  # noqa: E402
from keras_sparsebnn.converters import convert_keras_model, inspect, verify  # noqa: E402
from keras_sparsebnn.layers import SparseBinaryConv2D  # noqa: E402
from keras_sparsebnn.quantizers import FixedSubset, SparseKernel  # noqa: E402


def randomize_batch_norm(model, rng):
    """Batch norms as training may leave them: negative and zero multipliers too."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            (count,) = layer.gamma.shape
            gamma = rng.normal(size=count)
            gamma[:: max(count // 3, 1)] = 0
            beta, mean = rng.normal(size=count), 10 * rng.normal(size=count)
            layer.set_weights([gamma, beta, mean, rng.uniform(0.5, 2, count)])


@st.composite
def geometries(draw):
    kernel_size = draw(st.sampled_from([1, 2, 3]))
    groups = draw(st.sampled_from([1, 1, 1, 2]))
    dilation = draw(st.sampled_from([1, 1, 2]))
    padding, pad_values = draw(st.sampled_from([("same", 1.0), ("same", 0.0), ("valid", 0.0)]))
    return {
        "size": draw(st.tuples(st.integers(5, 9), st.integers(5, 9))),
        "channels": groups * 32 if groups > 1 else draw(st.sampled_from([1, 5, 32, 48, 64])),
        "batch_norm": draw(st.booleans()),
        "codewords": draw(st.sampled_from([2, 4, 16, 512][: (1, 3, 4)[kernel_size - 1]])),
        "layer": {
            "filters": groups * draw(st.sampled_from([1, 3, 8, 20])),
            "kernel_size": kernel_size,
            "groups": groups,
            "dilation_rate": dilation,
            "strides": 1 if dilation > 1 else draw(st.sampled_from([1, 2])),
            "padding": padding,
            "pad_values": pad_values,
            "use_bias": draw(st.booleans()),
            "activation": draw(st.sampled_from([None, None, "relu"])),
        },
        "magnitude_scale": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**16)),
    }


@settings(max_examples=12, deadline=None)
@given(geometry=geometries())
def test_one_layer(geometry):
    rng = np.random.default_rng(geometry["seed"])
    keras.utils.set_random_seed(geometry["seed"])
    quantizer = FixedSubset(
        geometry["codewords"], magnitude_scale=geometry["magnitude_scale"], seed=1
    )
    images = keras.layers.Input((*geometry["size"], geometry["channels"]))
    x = SparseBinaryConv2D(
        kernel_quantizer=quantizer,
        input_quantizer="ste_sign",
        bias_initializer="random_normal",
        **geometry["layer"],
    )(images)
    if geometry["batch_norm"]:
        x = keras.layers.BatchNormalization()(x)
    model = keras.Model(images, x)
    randomize_batch_norm(model, rng)
    flat = convert_keras_model(model)
    (binary,) = inspect(flat).binary_layers
    assert binary.groups == geometry["layer"]["groups"]
    inputs = rng.normal(size=(3, *images.shape[1:])).astype(np.float32)
    report = verify(model, flat, inputs)
    # Without batch norm, scale and bias, both add up integers.
    if not (
        geometry["batch_norm"] or geometry["magnitude_scale"] or geometry["layer"]["use_bias"]
    ):
        assert report.max_abs_difference == 0


@pytest.mark.parametrize("pool", [False, True])
def test_bits_handed_from_layer_to_layer(rng, pool):
    """Three binary layers without a float in between: exact up to the last batch norm."""
    layers = [keras.layers.Input((8, 8, 64))]
    for _ in range(3):
        layers += [
            SparseBinaryConv2D(
                64,
                3,
                padding="same",
                pad_values=1.0,
                input_quantizer="ste_sign",
                use_bias=False,
            ),
            keras.layers.BatchNormalization(),
        ]
        if pool:
            layers.append(keras.layers.MaxPooling2D(2))
    model = keras.Sequential(layers)
    randomize_batch_norm(model, rng)
    flat = convert_keras_model(model)
    types = [layer.output_type for layer in inspect(flat).binary_layers]
    assert types == ["bits", "bits", "FLOAT32"]
    inputs = rng.normal(size=(6, 8, 8, 64)).astype(np.float32)
    report = verify(model, flat, inputs)
    assert report.sign_flips == 0
    held = Interpreter(flat).predict(inputs)
    ours = freeze(model).predict(inputs, verbose=0)
    # The last batch norm rounds 10 times, in Keras and in the file, sums of magnitude
    # |gamma / sigma| (576 + |mean|) + |beta|, which is below 3000 for these.
    bound = 2 * 10 * 2.0**-24 * 3000
    assert np.abs(held - ours).max() <= bound
    assert report.max_step_difference <= report.tolerance <= bound


@pytest.mark.parametrize("quantizer", [SparseKernel, lambda n: "ste_sign"])
def test_small_network(rng, quantizer):
    model = models.small((16, 16, 1), 10, kernel_quantizer=quantizer)
    randomize_batch_norm(model, rng)
    flat = convert_keras_model(model)
    assert inspect(flat).operators["LceBconv2d"] == 5
    report = verify(model, flat, rng.normal(size=(20, 16, 16, 1)))
    assert report.samples == 20
    assert report.argmax_agreement == 1 or report.flipped_samples


def test_resnet18(rng):
    model = models.resnet18((32, 32, 3), 10, width=32)
    flat = convert_keras_model(model)
    report = inspect(flat)
    assert report.operators["LceBconv2d"] == 16
    # 16 layers of 3x3: a quarter of the 10.985 Mbit that published tables count.
    assert report.bytes_by_kind["binary filters"] * 8 == 10_985_472 // 4
    assert {layer.distinct_codewords for layer in report.binary_layers} == {32}
    verify(model, flat, rng.normal(size=(1, 32, 32, 3)))
