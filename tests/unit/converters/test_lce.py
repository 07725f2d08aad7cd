"""What `convert_keras_model` says of layers and options that do not become what they seem."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.converters import (
    ConversionError,
    ConversionWarning,
    convert_keras_model,
    inspect,
)
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.runtime import Interpreter
from keras_sparsebnn.transforms.freezing import freeze

L = keras.layers
KERNEL = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
SIGNS = {"input_quantizer": "ste_sign", **KERNEL}


def model(*layers, shape=(8, 8, 32)):
    return keras.Sequential([L.Input(shape), *layers])


class TestFloatLayers:
    @pytest.mark.parametrize(
        ("layer", "shape", "reason"),
        [
            (
                lq.layers.QuantConv2D(32, 3, name="layer", **KERNEL),
                (8, 8, 32),
                "no input quantizer",
            ),
            (lq.layers.QuantConv1D(32, 3, name="layer", **SIGNS), (8, 32), "QuantConv1D has"),
            (lq.layers.QuantDense(8, name="layer", **SIGNS), (32,), "QuantDense has"),
            (
                lq.layers.QuantConv2DTranspose(32, 3, name="layer", **SIGNS),
                (8, 8, 32),
                "QuantConv2DTranspose has",
            ),
            (
                lq.layers.QuantConv3D(8, 2, name="layer", **SIGNS),
                (4, 4, 4, 32),
                "QuantConv3D has",
            ),
            (
                lq.layers.QuantDepthwiseConv2D(
                    3,
                    input_quantizer="ste_sign",
                    depthwise_quantizer="ste_sign",
                    depthwise_constraint="weight_clip",
                    name="layer",
                ),
                (8, 8, 32),
                "QuantDepthwiseConv2D has",
            ),
            (
                lq.layers.QuantSeparableConv2D(
                    32,
                    3,
                    input_quantizer="ste_sign",
                    depthwise_quantizer="ste_sign",
                    pointwise_quantizer="ste_sign",
                    depthwise_constraint="weight_clip",
                    pointwise_constraint="weight_clip",
                    name="layer",
                ),
                (8, 8, 32),
                "QuantSeparableConv2D has",
            ),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, L.Layer) else "",
    )
    def test_are_named(self, layer, shape, reason):
        with pytest.warns(ConversionWarning) as caught:
            flat = convert_keras_model(model(layer, shape=shape))
        (warning,) = caught
        text = str(warning.message)
        assert text.startswith("Layer layer has binary kernels but runs in float in the file: ")
        assert reason in text
        report = inspect(flat)
        assert report.binary_layers == ()
        assert "LceBconv2d" not in report.operators

    def test_inside_a_wrapper(self):
        inner = lq.layers.QuantConv2D(32, 3, name="inner", **SIGNS)
        timed = L.TimeDistributed(inner, name="timed")
        with pytest.warns(ConversionWarning, match="Layer timed/inner has binary kernels"):
            convert_keras_model(model(timed, shape=(2, 8, 8, 32)))

    def test_signs_of_another_layer_are_no_reason(self):
        net = model(
            lq.quantizers.SteSign(), lq.layers.QuantConv2D(32, 3, name="layer", **KERNEL)
        )
        assert len(inspect(convert_keras_model(net)).binary_layers) == 1

    def test_nothing_to_name(self):
        net = model(lq.layers.QuantConv2D(32, 3, **SIGNS), L.Flatten(), L.Dense(3))
        assert len(inspect(convert_keras_model(net)).binary_layers) == 1  # warnings are errors


class TestRefused:
    @pytest.mark.parametrize(
        "layer",
        [
            lq.layers.QuantConv2D(32, 3, data_format="channels_first", name="it", **SIGNS),
            L.Conv2D(32, 3, data_format="channels_first", name="it"),
            L.MaxPooling2D(data_format="channels_first", name="it"),
        ],
        ids=lambda layer: type(layer).__name__,
    )
    def test_channels_first(self, layer):
        with pytest.raises(ConversionError, match=r'got "channels_first" \(layer it\)'):
            convert_keras_model(model(layer, shape=(32, 8, 8)))

    def test_one_channel_that_becomes_many(self):
        """LCE fuses the MUL, and writes a multiplier of 4 for a convolution of one channel."""
        conv = lq.layers.QuantConv2D(1, 3, use_bias=False, name="it", **SIGNS)
        many = L.Lambda(lambda x: x * np.float32([1, 2, 3, 4]))
        with pytest.raises(
            ConversionError,
            match=r"a multiplier for each of 1 output channels, got shape \[4\] \(layer it\)",
        ):
            convert_keras_model(model(conv, many))

    @pytest.mark.parametrize(
        ("layer", "got", "way_out"),
        [
            (L.Bidirectional(L.GRU(4), name="it"), "GRU", "with unroll=True, or batch_size=1"),
            (L.ConvLSTM1D(4, 3, name="it"), "ConvLSTM1D", "with batch_size=1"),
        ],
        ids=lambda layer: type(layer).__name__ if isinstance(layer, L.Layer) else "",
    )
    def test_loops_over_time_steps(self, layer, got, way_out):
        shape = (3, 8, 32) if got == "ConvLSTM1D" else (3, 32)
        with pytest.raises(
            ConversionError, match=rf"got {got} \(layer it\)\. Build the model {way_out}"
        ):
            convert_keras_model(model(layer, shape=shape))

    @pytest.mark.parametrize(
        ("make", "batch_size", "unroll"),
        [(L.LSTM, None, True), (L.GRU, None, True), (L.GRU, 1, False)],
    )
    def test_the_ways_out_of_loops(self, make, batch_size, unroll, rng):
        x = rng.normal(size=(3, 3, 32)).astype(np.float32)
        inputs = L.Input((3, 32), batch_size=batch_size)
        net = keras.Sequential([inputs, L.Bidirectional(make(4, unroll=unroll))])
        got = Interpreter(convert_keras_model(net)).predict(x)
        expected = np.concatenate([net(x[i : i + 1]) for i in range(3)])
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("batch_size", [None, 1])
    @pytest.mark.parametrize("wrap", [lambda layer: layer, L.Bidirectional])
    def test_lstm_that_is_not_unrolled(self, wrap, batch_size):
        layer = wrap(L.LSTM(4, name="it"))
        net = keras.Sequential([L.Input((3, 32), batch_size=batch_size), layer])
        with pytest.raises(
            ConversionError, match=r"LSTM .*\(layer (it|bidirectional).*unroll=True"
        ):
            convert_keras_model(net)

    @pytest.mark.parametrize("why", ["small map", "groups"])
    def test_zeros_beside_odd_channels_where_lce_has_the_reference_kernel_only(self, why):
        zeros = {**SIGNS, "padding": "same", "pad_values": 0.0}
        layers = [lq.layers.QuantConv2D(32, 9 if why == "small map" else 3, name="it", **zeros)]
        shape = (8, 8, 33)
        if why == "groups":
            layers.insert(0, lq.layers.QuantConv2D(64, 1, groups=2, **SIGNS))
            layers.insert(1, L.Conv2D(33, 1))
            shape = (8, 8, 64)
        with pytest.raises(
            ConversionError, match=r"even number of channels .* got 33 \(layer it\)\. Use pad_"
        ):
            convert_keras_model(model(*layers, shape=shape))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize("kind", ["float", "binary", "sparse", "bn"])
    def test_weights_that_are_not_finite(self, kind, value):
        layer = {
            "float": L.Conv2D(4, 3, name="it"),
            "binary": lq.layers.QuantConv2D(32, 3, name="it", **SIGNS),
            "sparse": SparseBinaryConv2D(
                32, codewords=16, input_quantizer="ste_sign", name="it"
            ),
            "bn": L.BatchNormalization(name="it"),
        }[kind]
        net = model(layer)
        weight = layer.gamma if kind == "bn" else layer.kernel
        with lq.context.quantized_scope(False):
            latent = weight.latent_variable if hasattr(weight, "latent_variable") else weight
            values = latent.numpy()
            values.flat[3] = value
            latent.assign(values)
        name = "gamma" if kind == "bn" else "kernel"
        what = "NaN" if np.isnan(value) else "infinity"
        with pytest.raises(ConversionError, match=rf"got {what} in {name} \(layer it\)"):
            convert_keras_model(net)


def fake_quant(low, high):
    return L.Lambda(lambda x: tf.quantization.fake_quant_with_min_max_vars(x, low, high))


def quantized_model():
    keras.utils.set_random_seed(3)
    return model(
        fake_quant(-3.0, 3.0),
        lq.layers.QuantConv2D(
            32, 3, padding="same", pad_values=1.0, use_bias=False, name="binary", **SIGNS
        ),
        L.BatchNormalization(),
        fake_quant(-400.0, 400.0),
    )


class TestOptions:
    def test_int8_inputs_and_outputs(self):
        types = {"inference_input_type": tf.int8, "inference_output_type": "int8"}
        report = inspect(convert_keras_model(quantized_model(), **types))
        assert [x.dtype for x in (*report.inputs, *report.outputs)] == ["INT8", "INT8"]
        assert len(report.binary_layers) == 1
        report = inspect(convert_keras_model(quantized_model()))
        assert [x.dtype for x in (*report.inputs, *report.outputs)] == ["FLOAT32", "FLOAT32"]

    @pytest.mark.parametrize("side", ["input", "output"])
    def test_a_model_that_is_not_quantized(self, side):
        net = model(L.Conv2D(4, 3))
        with pytest.raises(ConversionError, match=f"quantized {side}s for inference_{side}"):
            convert_keras_model(net, **{f"inference_{side}_type": tf.int8})

    def test_default_range(self):
        net = model(L.Conv2D(4, 3), L.ReLU(), L.Flatten(), L.Dense(3))
        flat = convert_keras_model(net, experimental_default_int8_range=(-6, 6))
        assert "QUANTIZE" in inspect(flat).operators

    def test_target(self):
        net = model(lq.layers.QuantConv2D(32, 3, **SIGNS))
        assert inspect(convert_keras_model(net, target="xcore")).binary_layers

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"inference_input_type": "uint8"}, "to be float32 or int8, got 'uint8'"),
            ({"inference_output_type": 3.5}, "`inference_output_type` to be float32 or int8"),
            ({"target": "x86"}, "`target` to be one of 'arm', 'xcore', got 'x86'"),
            ({"experimental_default_int8_range": (6, -6)}, "the lower one first"),
            ({"experimental_default_int8_range": (0, np.inf)}, "the lower one first"),
            ({"experimental_default_int8_range": (1, 2, 3)}, "two numbers"),
            ({"experimental_default_int8_range": "ab"}, "two numbers, .* got 'ab'"),
        ],
    )
    def test_wrong_values(self, options, message):
        with pytest.raises(ConversionError, match=message):
            convert_keras_model(model(L.Conv2D(4, 3)), **options)

    def test_all_of_lces_options_pass_through(self):
        import inspect as python_inspect

        import larq_compute_engine as lce

        ours, theirs = (
            python_inspect.signature(function).parameters
            for function in (convert_keras_model, lce.convert_keras_model)
        )
        assert set(theirs) <= set(ours)


class TestOrder:
    """LCE sorts inputs by name, and has outputs in an order of its own."""

    def test_inputs_and_outputs_are_in_the_models_order(self, rng):
        one, other = (L.Input((4, 4, 32), name=name) for name in ("z", "a"))
        difference = L.Subtract()([one, lq.layers.QuantConv2D(32, 1, **SIGNS)(other)])
        pooled = L.GlobalAveragePooling2D(name="b")(difference)
        net = keras.Model([one, other], [difference, L.ReLU(name="c")(difference), pooled])
        x = [rng.normal(size=(2, 4, 4, 32)).astype(np.float32) for _ in range(2)]
        interpreter = Interpreter(convert_keras_model(net))
        assert [tensor.name for tensor in interpreter.inputs] == ["z", "a"]
        for ours, theirs in zip(interpreter.predict(x), net.predict(x), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        by_name = interpreter.predict({"a": x[1], "z": x[0]})
        np.testing.assert_array_equal(by_name["b"], interpreter.predict(x)[2])


class TestSaving:
    """Only the serving function is saved for LCE; the file is that of LCE's own conversion."""

    def two_in_two_out(self):
        left, right = L.Input((8, 8, 32), name="z_left"), L.Input((8, 8, 32), name="a_right")
        part = keras.Sequential([L.Input((8, 8, 32)), lq.layers.QuantConv2D(32, 3, **SIGNS)])
        x, y = part(left), L.Conv2D(4, 1)(right)
        ends = [L.GlobalAveragePooling2D(name=name)(end) for name, end in (("y", x), ("b", y))]
        return keras.Model([left, right], ends)

    def test_same_bytes(self):
        import larq_compute_engine as lce

        frozen = freeze(self.two_in_two_out())
        assert convert_keras_model(frozen) == lce.convert_keras_model(frozen)

    def test_what_cannot_be_saved_so_goes_lces_way(self):
        scale = tf.Variable(3.0)  # belongs to no layer
        x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
        flat = convert_keras_model(model(L.Lambda(lambda t: t * scale), shape=(4,)))
        np.testing.assert_allclose(Interpreter(flat).predict(x), 3 * x)
