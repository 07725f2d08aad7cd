"""`verify` of files with int8 activations, inputs and outputs."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.converters import VerificationError, convert_keras_model, verify
from keras_sparsebnn.converters.verification.exposed_tensors import ExposedInterpreter
from keras_sparsebnn.converters.verification.quantization import dequantized, quantized
from keras_sparsebnn.tflite_file import read

L = keras.layers


def fake_quant(limit):
    return L.Lambda(
        lambda x: tf.quantization.fake_quant_with_min_max_vars(x, -limit, limit),
        name=f"limit{limit:g}",
    )


def binary(name):
    return lq.layers.QuantConv2D(
        32,
        3,
        padding="same",
        pad_values=1.0,
        input_quantizer="ste_sign",
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
        use_bias=False,
        name=name,
    )


@pytest.fixture(scope="module")
def net():
    """Trained with fake quantization: float and binary convolutions, both in int8."""
    keras.utils.set_random_seed(6)
    return keras.Sequential(
        [
            L.Input((8, 8, 3)),
            fake_quant(3.0),
            L.Conv2D(32, 3, padding="same", name="stem"),
            L.BatchNormalization(gamma_initializer=keras.initializers.RandomUniform(0.5, 2)),
            fake_quant(4.0),
            binary("binary0"),
            L.BatchNormalization(),
            fake_quant(200.0),
            L.DepthwiseConv2D(3, name="depthwise"),
            fake_quant(201.0),
            binary("binary1"),
            L.BatchNormalization(),
            fake_quant(300.0),
            L.GlobalAveragePooling2D(),
            fake_quant(301.0),
            L.Dense(5, name="classes"),
            fake_quant(302.0),
        ]
    )


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(6).normal(size=(8, 8, 8, 3)).astype(np.float32)


INT8 = {"inference_input_type": "int8", "inference_output_type": "int8"}


@pytest.fixture(scope="module", params=[{}, INT8], ids=["float ends", "int8 ends"])
def flat(net, request):
    return convert_keras_model(net, **request.param)


class TestFiles:
    def test_agree(self, net, inputs, flat):
        interpreter = ExposedInterpreter(read(flat))
        assert len(interpreter.steps) >= 5
        report = verify(net, flat, inputs)
        assert report.samples == 8
        assert report.max_step_difference <= report.tolerance
        # One step of the widest int8 activation, and what its weights add.
        assert report.tolerance < 3 * max(interpreter.steps.values())

    @pytest.mark.parametrize("layer", ["stem", "binary0", "depthwise", "binary1", "classes"])
    def test_other_weights_are_found(self, net, inputs, flat, layer):
        other = keras.models.clone_model(net)
        other.set_weights(net.get_weights())
        kernel, *bias = other.get_layer(layer).get_weights()
        kernel[..., 0] *= -1  # one output channel
        other.get_layer(layer).set_weights([kernel, *bias])
        with pytest.raises(VerificationError) as raised:
            verify(other, flat, inputs)
        path = [x.name for x in net.layers]
        # No sooner than the layer, and before the next one with weights of its own.
        assert path.index(layer) <= path.index(raised.value.layer) <= path.index(layer) + 2


def test_a_range_that_the_model_does_not_have(inputs):
    net = keras.Sequential([L.Input((8, 8, 3)), L.Conv2D(8, 3), L.Flatten(), L.Dense(3)])
    net.layers[0].set_weights([100 * weight for weight in net.layers[0].get_weights()])
    flat = convert_keras_model(net, experimental_default_int8_range=(-6.0, 6.0))
    with pytest.raises(VerificationError, match="first layer that differs"):
        verify(net, flat, inputs)


def test_integers_stand_for_themselves(net, inputs):
    flat = convert_keras_model(net, **INT8)
    scale = ExposedInterpreter(read(flat))._scales("input")[0]
    integers = quantized(inputs, *scale)
    assert integers.dtype == np.int8
    report = verify(net, flat, integers)
    assert report.max_abs_difference == verify(net, flat, inputs).max_abs_difference


def test_clips_and_rounds_to_even(rng):
    x = np.array([-1000, -0.75, 0.25, 0.75, 1000], np.float32)
    q = quantized(x, 0.5, -3)
    assert q.tolist() == [-128, -5, -3, -1, 127]
    assert dequantized(q, 0.5, -3).tolist() == [-62.5, -1.0, 0.0, 1.0, 65.0]
    assert quantized(x, None, None) is x
    assert dequantized(x, 0.5, -3) is x
    back = rng.integers(-128, 128, 100).astype(np.int8)
    np.testing.assert_array_equal(quantized(dequantized(back, 0.1, 7), 0.1, 7), back)
