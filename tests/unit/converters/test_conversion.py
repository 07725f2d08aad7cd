"""`convert_keras_model`: what converts, and which error names which layer and why."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from keras_sparsebnn import freeze
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.converters import (
    ConversionError,
    ConversionWarning,
    convert_keras_model,
    inspect,
    verify,
)
from keras_sparsebnn.converters.filters.packed import codeword_ids, packed_filters
from keras_sparsebnn.converters.verification.conversion_check import (
    BinaryCall,
    check_conversion,
)
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.quantizers import FixedSubset
from keras_sparsebnn.tflite_file import read

SAME_ONE = {"padding": "same", "pad_values": 1.0, "use_bias": False}


def sparse(filters=32, kernel_size=3, codewords=4, **options):
    options = {"input_quantizer": "approx_sign", **SAME_ONE, "name": "binary", **options}
    quantizer = options.pop("kernel_quantizer", None) or FixedSubset(codewords, seed=3)
    return SparseBinaryConv2D(filters, kernel_size, kernel_quantizer=quantizer, **options)


def sequential(*layers, shape=(4, 4, 32), **options):
    return keras.Sequential([keras.layers.Input(shape, **options), *layers])


def binary_layers(flat):
    return inspect(flat).binary_layers


class TestConverts:
    def test_filter_holds_the_layers_kernels(self):
        model = sequential(sparse(codewords=8))
        (packed,) = packed_filters(read(convert_keras_model(model)))
        kernel = freeze(model).layers[-1].get_weights()[0]
        np.testing.assert_array_equal(packed.negative, kernel.transpose(3, 0, 1, 2) < 0)
        selection = model.layers[-1].kernel_quantizer.selection.numpy()
        assert set(np.unique(codeword_ids(packed.negative))) <= set(selection.tolist())

    def test_is_silent_and_leaves_the_model_alone(self, capfd):
        model = sequential(sparse())
        before = [weight.copy() for weight in model.get_weights()]
        level = tf.get_logger().level
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            convert_keras_model(model)
        assert capfd.readouterr() == ("", "")
        assert tf.get_logger().level == level
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
        assert isinstance(model.layers[-1].kernel_quantizer, FixedSubset)

    @pytest.mark.parametrize(
        "options",
        [
            {"padding": "same", "pad_values": 0.0},
            {"padding": "same", "pad_values": 0.0, "activation": "relu"},
            {"activation": "relu"},
            {"input_quantizer": "swish_sign"},
            {"kernel_quantizer": FixedSubset(4, magnitude_scale=True, seed=1)},
        ],
        ids=["zero padding", "zero padding + relu", "relu", "swish_sign", "magnitude_scale"],
    )
    def test_what_lce_folds(self, options):
        flat = convert_keras_model(
            sequential(sparse(**options), keras.layers.BatchNormalization())
        )
        assert len(binary_layers(flat)) == 1

    def test_zero_padding_costs_the_bit_packed_hand_over(self):
        def outputs(pad_values):
            first = sparse(pad_values=pad_values, name="first")
            flat = convert_keras_model(sequential(first, sparse(name="second")))
            return [layer.output_type for layer in binary_layers(flat)]

        assert outputs(1.0) == ["bits", "FLOAT32"]
        assert outputs(0.0) == ["FLOAT32", "FLOAT32"]

    def test_a_layer_called_twice_is_two_operators(self, rng):
        shared = sparse()
        images = keras.layers.Input((4, 4, 32))
        x = keras.layers.BatchNormalization()(shared(images))
        model = keras.Model(images, shared(x))
        flat = convert_keras_model(model)
        assert len(binary_layers(flat)) == 2
        verify(model, flat, rng.normal(size=(2, 4, 4, 32)))

    def test_two_layers_with_equal_kernels_are_two_operators(self):
        model = sequential(sparse(name="first"), keras.layers.ReLU(), sparse(name="second"))
        model.layers[-1].set_weights(model.layers[0].get_weights())
        assert len(binary_layers(convert_keras_model(model))) == 2

    def test_nested_models(self, rng):
        inner = sequential(sparse(), keras.layers.BatchNormalization())
        images = keras.layers.Input((4, 4, 32))
        model = keras.Model(images, sparse(8, name="outer")(inner(images)))
        flat = convert_keras_model(model)
        assert [layer.filter_shape[0] for layer in binary_layers(flat)] == [32, 8]
        verify(model, flat, rng.normal(size=(2, 4, 4, 32)))

    def test_mixed_precision_models_are_converted_in_float32(self, rng):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        try:
            model = sequential(sparse(), keras.layers.BatchNormalization())
            assert model.layers[0].compute_dtype == "bfloat16"
            flat = convert_keras_model(model)
        finally:
            keras.mixed_precision.set_global_policy("float32")
        assert len(binary_layers(flat)) == 1
        assert inspect(flat).outputs[0].dtype == "FLOAT32"
        verify(model, flat, rng.normal(size=(2, 4, 4, 32)))
        assert len(binary_layers(convert_keras_model(freeze(model)))) == 1

    def test_plain_one_bit_layers_are_checked_too(self):
        layer = lq.layers.QuantConv2D(
            32,
            3,
            input_quantizer="ste_sign",
            kernel_quantizer="ste_sign",
            kernel_constraint="weight_clip",
            name="plain",
            padding="same",
            pad_values=-1.0,
        )
        with pytest.raises(ConversionError, match=r"pad_values.*\(layer plain\)"):
            convert_keras_model(sequential(layer))

    def test_binary_kernels_on_float_activations_may_stay_float(self):
        layer = lq.layers.QuantConv2D(
            8, 3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip"
        )
        with pytest.warns(ConversionWarning, match="it has no input quantizer"):
            flat = convert_keras_model(sequential(layer, shape=(6, 6, 1)))
        assert inspect(flat).operators == {"CONV_2D": 1}


def roll(x):
    return tf.roll(x, 1, 1)


def between(*layers):
    return [lq.quantizers.SteSign(), *layers, sparse(input_quantizer=None)]


class TestErrors:
    @pytest.mark.parametrize(
        ("layers", "cause"),
        [
            ([sparse(input_quantizer=None)], "its input is not binarised"),
            (between(keras.layers.MaxPooling2D(2)), "MAX_POOL_2D lies between the sign"),
            (between(keras.layers.Permute((2, 1, 3))), "TRANSPOSE lies between the sign"),
            (between(keras.layers.Lambda(roll)), "CONCATENATION lies between the sign"),
            (between(keras.layers.ZeroPadding2D(1)), "Move it before the sign"),
            ([sparse(input_quantizer="ste_tern")], "to be a sign, got ste_tern"),
            ([sparse(input_quantizer="ste_heaviside")], "to be a sign, got ste_heaviside"),
            ([sparse(pad_values=-1.0)], "`pad_values` of 1 or 0, got -1.0"),
            ([sparse(groups=2)], "multiple of 32 input channels, got 16 in each of 2"),
        ],
    )
    def test_names_layer_and_cause(self, layers, cause):
        # Each layer object belongs to one parameter, so each is built once.
        with pytest.raises(ConversionError, match=cause) as caught:
            convert_keras_model(sequential(*layers))
        assert "(layer binary)" in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("layer", "where", "options"),
        [
            ("QuantDepthwiseConv2D", "depthwise", {}),
            ("QuantConv2DTranspose", "kernel", {"filters": 8}),
        ],
    )
    def test_codebooks_in_other_binary_layers(self, layer, where, options):
        options[f"{where}_quantizer"] = FixedSubset(4, seed=1)
        options[f"{where}_constraint"] = "weight_clip"
        other = getattr(lq.layers, layer)(
            kernel_size=3, input_quantizer="ste_sign", name="other", **options
        )
        with pytest.raises(ConversionError, match=rf"{layer} \(layer other\)"):
            convert_keras_model(sequential(other))

    @pytest.mark.parametrize("wrap", [False, True])
    def test_half_precision_on_purpose(self, wrap):
        half = keras.layers.Dense(2, dtype="bfloat16", name="half")
        if wrap:
            half = keras.layers.TimeDistributed(half, name="half")
        with pytest.raises(ConversionError, match=r"layers, got bfloat16 \(layer half\)"):
            convert_keras_model(sequential(half, shape=(3, 4)))

    def test_open_image_size(self):
        with pytest.raises(ConversionError, match="Expected a fixed input shape"):
            convert_keras_model(sequential(sparse(), shape=(None, None, 32)))

    @pytest.mark.parametrize("name", ["sub-bit", "onnx", None])
    def test_options(self, name):
        with pytest.raises(ConversionError, match="`format` to be one of 'lce', 'subbit', got"):
            convert_keras_model(sequential(sparse()), format=name)
        with pytest.raises(
            ConversionError, match="`weights` to be one of 'float', 'int8', got"
        ):
            convert_keras_model(sequential(sparse()), weights=name)

    def test_lce_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "larq_compute_engine", None)
        with pytest.raises(ImportError, match=r"pip install 'keras-sparsebnn\[convert\]'"):
            convert_keras_model(sequential(sparse()))


@pytest.fixture(scope="module")
def converted():
    model = sequential(sparse())
    kernel = freeze(model).layers[-1].get_weights()[0].transpose(3, 0, 1, 2)
    selection = model.layers[-1].kernel_quantizer.selection.numpy()
    return convert_keras_model(model), kernel, selection


class TestCheck:
    """The assertion itself, against files that are not what they should be."""

    def test_accepts(self, converted):
        flat, kernel, selection = converted
        check_conversion(flat, [BinaryCall("binary", kernel, selection)])

    def test_one_wrong_weight(self, converted):
        flat, kernel, selection = converted
        other = kernel.copy()
        other[3, 1, 2, 5] *= -1
        with pytest.raises(ConversionError, match=r"got none.*\(layer binary\)"):
            check_conversion(flat, [BinaryCall("binary", other, selection)])

    def test_a_codeword_outside_the_selection(self, converted):
        flat, kernel, selection = converted
        used = codeword_ids(kernel < 0)
        fewer = np.setdiff1d(selection, used.flat[:1])
        with pytest.raises(ConversionError, match=r"only codewords of the layer's selection"):
            check_conversion(flat, [BinaryCall("binary", kernel, fewer)])

    def test_a_negated_channel_with_float_output(self, converted):
        flat, kernel, selection = converted
        other = kernel.copy()
        other[0] *= -1
        with pytest.raises(ConversionError, match="negation of 1 output channels"):
            check_conversion(flat, [BinaryCall("binary", other, selection)])

    def test_missing_and_superfluous(self, converted):
        flat, kernel, selection = converted
        call = BinaryCall("binary", kernel, selection)
        with pytest.raises(ConversionError, match="got none"):
            check_conversion(flat, [call, call])
        model = sequential(sparse(name="first"), keras.layers.ReLU(), sparse(name="second"))
        model.layers[-1].set_weights(model.layers[0].get_weights())
        kernel = freeze(model).layers[0].get_weights()[0].transpose(3, 0, 1, 2)
        with pytest.raises(ConversionError, match="1 more with the same filter"):
            check_conversion(convert_keras_model(model), [BinaryCall("first", kernel, None)])

    def test_a_float_copy_beside_the_packed_filter(self):
        images = keras.layers.Input((4, 4, 32))
        layer = sparse()
        x = layer(images)
        copy = keras.layers.Conv2D(32, 3, padding="same", use_bias=False)
        model = keras.Model(images, [x, copy(images)])
        copy.set_weights(freeze(model).get_layer("binary").get_weights())
        with pytest.raises(ConversionError, match=r"a float copy too \(layer binary\)"):
            convert_keras_model(model)
