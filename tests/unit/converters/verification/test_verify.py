"""`verify`: what it accepts, what it refuses, and which layer it names."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from keras_sparsebnn import freeze, models
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.converters import (
    VerificationError,
    compress,
    convert_keras_model,
    quantize_weights,
    verify,
)
from keras_sparsebnn.converters.verification.exposed_tensors import ExposedInterpreter
from keras_sparsebnn.converters.verification.layer_calls import run_layer_by_layer
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.quantizers import FixedSubset
from keras_sparsebnn.tflite_file import read

# The function of the same name hides the module.
verify_module = sys.modules[verify.__module__]

needs_delegate = pytest.mark.skipif(
    not verify_module.has_delegate(), reason="needs the native library: make delegate"
)


def sparse(name, filters=32, **options):
    return SparseBinaryConv2D(
        filters,
        3,
        kernel_quantizer=FixedSubset(16, seed=2),
        padding="same",
        pad_values=1.0,
        input_quantizer="ste_sign",
        use_bias=False,
        name=name,
        **options,
    )


@pytest.fixture(scope="module")
def small():
    keras.utils.set_random_seed(4)
    rng = np.random.default_rng(4)
    model = models.small((8, 8, 1), 5, kernel_quantizer=lambda n: FixedSubset(16, seed=2))
    for layer in model.layers:
        # Different constants in each layer: LCE stores equal ones once.
        if isinstance(layer, keras.layers.BatchNormalization):
            (count,) = layer.gamma.shape
            layer.set_weights([rng.uniform(0.5, 2, count) for _ in range(4)])
    flat = convert_keras_model(model)
    return model, flat, rng.normal(size=(6, 8, 8, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def chain():
    """Two binary layers, the first hands bits to the second."""
    keras.utils.set_random_seed(4)
    layers = [keras.layers.Input((6, 6, 32))]
    for index in range(2):
        layers += [
            sparse(f"binary{index}"),
            keras.layers.BatchNormalization(name=f"bn{index}"),
        ]
    model = keras.Sequential(layers)
    inputs = np.random.default_rng(4).normal(size=(3, 6, 6, 32)).astype(np.float32)
    return model, convert_keras_model(model), inputs


def edited(flat, operator, place, edit):
    """The file with one constant changed: input `place` of the n-th operator of that name."""
    name, number = operator
    model = read(flat)
    graph = model.subgraphs[0]
    node = [x for x in graph.operators if x.name == name][number]
    start, size = model.place(graph.tensors[node.inputs[place]].buffer)
    data = bytearray(flat)
    data[start : start + size] = edit(data[start : start + size])
    return bytes(data)


def flip_one_weight(data):
    return bytes([data[0] ^ 1]) + data[1:]


def add(value, dtype):
    return lambda data: (np.frombuffer(data, dtype) + value).astype(dtype).tobytes()


@pytest.mark.smoke
class TestAgrees:
    def test_report(self, small):
        model, flat, inputs = small
        report = verify(model, flat, inputs)
        assert report.samples == 6
        assert report.argmax_agreement == 1
        assert report.max_step_difference <= report.tolerance
        assert report.sign_flips == report.flipped_samples == 0
        assert report.max_abs_difference < 1e-3
        assert "6 samples" in str(report)
        assert report.to_dict()["samples"] == 6

    def test_batches_make_no_difference(self, small):
        model, flat, inputs = small
        one, many = (verify(model, flat, inputs, batch_size=size) for size in (1, 4))
        assert one.samples == many.samples
        assert one.argmax_agreement == many.argmax_agreement

    def test_the_frozen_model_is_as_good(self, small):
        model, flat, inputs = small
        assert verify(freeze(model), flat, inputs).samples == 6

    def test_bit_packed_results_are_exact(self, chain):
        model, flat, inputs = chain
        bits = [
            values
            for values in ExposedInterpreter(read(flat)).run([inputs]).values()
            if values.dtype == np.int32
        ]
        assert len(bits) == 2
        assert verify(model, flat, inputs).sign_flips == 0

    def test_rounding_that_flips_signs_is_reported_not_refused(self, rng):
        # The stem's terms are about 1000 each and cancel: its results have rounding errors
        # of 1000 * 75 * 2^-24, and some lie closer to zero than that.
        images = keras.layers.Input((16, 16, 3))
        x = keras.layers.Conv2D(32, 5, use_bias=False, name="stem")(images)
        x = keras.layers.BatchNormalization(name="bn", center=False)(x)
        model = keras.Model(images, sparse("binary")(x))
        kernel = rng.normal(size=(5, 5, 3, 32))
        model.get_layer("stem").set_weights([kernel - kernel.mean(axis=(0, 1, 2))])
        # The file multiplies the kernel by this instead of the result.
        gamma, zeros = rng.uniform(0.5, 2, 32), np.zeros(32)
        model.get_layer("bn").set_weights([gamma, zeros, zeros + 1])
        flat = convert_keras_model(model)
        inputs = 1000 + 0.01 * rng.normal(size=(8, 16, 16, 3))
        report = verify(model, flat, inputs)
        assert report.sign_flips > 0
        assert 0 < report.flipped_samples <= 8
        # End to end a flip changes whole units; step by step nothing but the stem differs.
        assert report.max_abs_difference >= 2
        assert report.max_step_difference <= min(report.tolerance, 0.02)

    def test_several_inputs_and_outputs(self, rng):
        left = keras.layers.Input((4, 4, 32), name="z_left")
        right = keras.layers.Input((4, 4, 32), name="a_right")
        x = sparse("binary")(keras.layers.subtract([left, right]))
        outputs = [
            keras.layers.Dense(3, name="z_scores")(keras.layers.GlobalAveragePooling2D()(x)),
            keras.layers.ReLU(name="a_map")(x),
        ]
        model = keras.Model([left, right], outputs)
        flat = convert_keras_model(model)
        arrays = [rng.normal(size=(3, 4, 4, 32)).astype(np.float32) for _ in range(2)]
        assert verify(model, flat, arrays).samples == 3
        named = dict(zip(("z_left", "a_right"), arrays, strict=True))
        assert verify(model, flat, named).samples == 3

    def test_integer_images_and_a_fixed_batch(self, rng):
        images = keras.layers.Input(batch_shape=(2, 6, 6, 3), dtype="uint8")
        x = keras.layers.Rescaling(1 / 127.5, -1)(images)
        x = keras.layers.Conv2D(32, 3, padding="same")(x)
        model = keras.Model(images, sparse("binary", 8)(x))
        flat = convert_keras_model(model)
        inputs = rng.integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
        assert verify(model, flat, inputs).samples == 4
        with pytest.raises(SparseBNNError, match="multiple of 2 samples"):
            verify(model, flat, inputs[:3])


@pytest.fixture
def without_delegate(monkeypatch):
    monkeypatch.setattr(verify_module, "has_delegate", lambda: False)


class TestOtherFormats:
    @needs_delegate
    def test_the_delegate_runs_whatever_there_is(self, small, chain):
        for model, flat, inputs in (small, chain):
            report = verify(model, flat, inputs)
            assert report.compared == ("LCE", "delegate(LCE file)")
            packed = compress(flat)
            assert packed != flat
            report = verify(model, packed, inputs)
            assert report.compared[1:] == ("delegate(LCE file)", "delegate(sub-bit file)")
            assert "delegate(LCE file) = delegate(sub-bit file) on" in str(report)

    def test_without_a_delegate_sub_bit_files_are_expanded(self, small, without_delegate):
        model, flat, inputs = small
        report = verify(model, compress(flat), inputs)
        assert report.compared == ("LCE",)
        assert str(report).startswith("Keras = LCE on 6 samples")

    @pytest.mark.parametrize(
        "last", [quantize_weights, lambda m: compress(quantize_weights(m))]
    )
    def test_int8_weights_are_measured(self, small, last, rng):
        model, flat, inputs = small
        report = verify(model, last(flat), inputs, labels=rng.integers(0, 5, 6))
        measured = report.int8_weights
        assert measured.samples == 6
        assert measured.max_abs_difference > 0
        assert 0 <= measured.argmax_agreement <= 1
        assert measured.float_accuracy * 6 == pytest.approx(round(measured.float_accuracy * 6))
        assert "% -> " in str(report)
        assert report.to_dict()["int8_weights"]["samples"] == 6
        unlabelled = verify(model, last(flat), inputs).int8_weights
        assert unlabelled.float_accuracy is None
        assert "accuracy" not in str(unlabelled)

    def test_labels_that_do_not_fit(self, small):
        model, flat, inputs = small
        with pytest.raises(SparseBNNError, match=r"a label for each .* shape \(5,\)"):
            verify(model, quantize_weights(flat), inputs, labels=np.zeros(5))

    def test_int8_weights_that_are_not_the_models(self, small, without_delegate):
        model, flat, inputs = small
        wrong = edited(flat, ("FULLY_CONNECTED", 0), 1, add(0.01, np.float32))
        with pytest.raises(VerificationError, match="rounded to 8 bits, got another"):
            verify(model, quantize_weights(wrong), inputs)

    @needs_delegate
    def test_a_delegate_that_miscomputes(self, small, monkeypatch):
        model, flat, inputs = small
        true = verify_module.predict

        def wrong(data, feeds, runtime):
            (output,) = true(data, feeds, runtime=runtime)
            return [output + (b"Sparsebnn" in data)]

        monkeypatch.setattr(verify_module, "predict", wrong)
        with pytest.raises(VerificationError, match="got a difference of 1 at output 0"):
            verify(model, compress(flat), inputs)

    def test_wrong_codewords(self, small):
        model, flat, inputs = small
        packed = compress(flat)
        wrong = edited(packed, ("SparsebnnBconv2d", 2), 2, add(1, np.uint16))
        with pytest.raises(VerificationError, match="differs is binary") as caught:
            verify(model, wrong, inputs)
        assert caught.value.layer.startswith("binary")


class TestRefuses:
    @pytest.mark.parametrize("number", range(5))
    def test_one_flipped_weight(self, small, number):
        model, flat, inputs = small
        wrong = edited(flat, ("LceBconv2d", number), 1, flip_one_weight)
        with pytest.raises(VerificationError, match="first layer that differs") as caught:
            verify(model, wrong, inputs)
        assert caught.value.layer == f"binary{number}"
        assert f"differs is binary{number}." in str(caught.value)

    @pytest.mark.parametrize(
        ("operator", "place", "layer"),
        [
            (("CONV_2D", 0), 1, "stem"),
            (("CONV_2D", 1), 2, "binary2_shortcut_conv"),
            (("LceBconv2d", 3), 2, "binary3"),
            (("LceBconv2d", 4), 3, "binary4"),
            (("FULLY_CONNECTED", 0), 1, "classifier"),
        ],
    )
    def test_float_constants(self, small, operator, place, layer):
        model, flat, inputs = small
        wrong = edited(flat, operator, place, add(0.01, np.float32))
        with pytest.raises(VerificationError, match="first layer that differs") as caught:
            verify(model, wrong, inputs)
        assert caught.value.layer == layer

    def test_thresholds_of_bit_packed_layers(self, chain):
        model, flat, inputs = chain
        wrong = edited(flat, ("LceBconv2d", 0), 4, add(1, np.int32))
        with pytest.raises(VerificationError, match="differs is binary0"):
            verify(model, wrong, inputs)

    def test_another_models_file(self, small):
        model, _, inputs = small
        other = models.small((8, 8, 1), 5, kernel_quantizer=lambda n: FixedSubset(16, seed=9))
        with pytest.raises(VerificationError, match="differs is stem"):
            verify(model, convert_keras_model(other), inputs)

    def test_a_file_of_other_shapes(self, small, chain):
        with pytest.raises(VerificationError, match="Expected a file with inputs of shapes"):
            verify(small[0], chain[1], small[2])
        two = keras.Model(small[0].inputs, [*small[0].outputs, small[0].layers[1].output])
        with pytest.raises(VerificationError, match="Expected a file with 2 outputs, got 1"):
            verify(two, small[1], small[2])

    def test_inputs_that_do_not_fit(self, small):
        model, flat, inputs = small
        with pytest.raises(SparseBNNError, match=r"shapes \[\('samples', 8, 8, 1\)\]"):
            verify(model, flat, inputs[:, :4])
        with pytest.raises(SparseBNNError, match="at least one sample"):
            verify(model, flat, inputs[:0])
        with pytest.raises(SparseBNNError, match=r"Expected inputs \[.*\], got \['no'\]"):
            verify(model, flat, {"no": inputs})


def test_layers_are_restored_even_after_an_error():
    model = keras.Sequential([keras.layers.Dense(2, input_shape=(3,))])
    before = model.layers[0].call

    def fail(call):
        raise KeyError(call.path)

    with pytest.raises(KeyError, match="dense"):
        run_layer_by_layer(model, [tf.zeros([1, 3])], fail)
    assert model.layers[0].call == before
