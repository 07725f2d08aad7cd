"""larq's own summary and metrics, with quantizers of this package."""

import re

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.layers import MultiBitConv2D, SparseBinaryConv2D
from keras_sparsebnn.quantizers import METHODS, SparseKernel


def network(layer):
    layers = [
        keras.layers.Input((8, 8, 8)),
        layer,
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(2, name="dense"),
    ]
    return keras.Sequential(layers, name="network")


def conv(quantizer, cls=lq.layers.QuantConv2D):
    return cls(
        8,
        3,
        input_quantizer="ste_sign",
        kernel_quantizer=quantizer,
        kernel_constraint="weight_clip",
        name="conv",
    )


def larq_summary(model):
    lines = []
    lq.models.summary(model, print_fn=lines.append)
    return "\n".join(lines)


class TestSummary:
    @pytest.mark.parametrize("method", sorted(METHODS))
    def test_of_a_trained_model_is_that_of_the_frozen_one(self, method, seeded):
        options = {} if method == "one_bit" else {"codewords": 16}
        model = network(conv(METHODS[method](**options)))
        quantizer = model.get_layer("conv").kernel_quantizer
        if quantizer.has_stages:
            with lq.context.quantized_scope(False):
                quantizer.enter("codewords", model.get_layer("conv").kernel)
        if hasattr(quantizer, "tolerance"):
            quantizer.tolerance.assign(3.0)
        one_bit = network(conv("ste_sign"))
        assert larq_summary(model) == larq_summary(one_bit)
        frozen = larq_summary(ksb.freeze(model))
        assert [x for x in frozen.splitlines() if "Total" in x or "MACs" in x] == [
            x for x in larq_summary(one_bit).splitlines() if "Total" in x or "MACs" in x
        ]

    def test_nested(self, seeded):
        inner = network(conv(SparseKernel(16), SparseBinaryConv2D))
        inputs = keras.layers.Input((8, 8, 8))
        ours = larq_summary(keras.Model(inputs, inner(inputs), name="outer"))
        inner = network(conv("ste_sign"))
        inputs = keras.layers.Input((8, 8, 8))
        theirs = larq_summary(keras.Model(inputs, inner(inputs), name="outer"))
        assert re.findall(r"\S+ KiB", ours) == re.findall(r"\S+ KiB", theirs)

    @pytest.mark.parametrize(("activations", "weights"), [(1, 1), (1, 3), (3, 2), (2, 3)])
    def test_counts_all_bits_of_weights(self, activations, weights, seeded):
        options = {"activation_bits": activations, "weight_bits": weights, "name": "conv"}
        layer = MultiBitConv2D(8, 3, kernel_quantizer=SparseKernel(16), **options)
        profile = lq.models.ModelProfile(network(layer)).layer_profiles[0]
        count = 3 * 3 * 8 * 8
        found = [(w.bitwidth, w.count) for w in profile.weight_profiles]
        assert found == [(weights, count), (32, 8)]
        (operation,) = profile.op_profiles
        assert (operation.precision, operation.n) == (max(activations, weights), 64 * count)


def test_an_error_leaves_no_scope_behind():
    shared = SparseKernel(16)
    x = tf.ones([1, 8, 8, 8])
    first = conv(shared)
    first(x)
    with pytest.raises(ValueError, match="a quantizer of its own"):
        conv(shared)(x)
    assert not lq.context.should_quantize()
    with lq.context.quantized_scope(True):
        with pytest.raises(ValueError, match="a quantizer of its own"):
            conv(shared)(x)
        assert lq.context.should_quantize()
    assert not lq.context.should_quantize()


class TestFlipRatio:
    def fit(self, model):
        model.compile(
            keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(True)
        )
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(32, 8, 8, 8)).astype(np.float32), rng.integers(0, 2, 32)
        return model.fit(x, y, batch_size=8, epochs=2, verbose=0).history

    @pytest.mark.parametrize("cls", [lq.layers.QuantConv2D, SparseBinaryConv2D])
    def test_scope(self, cls, seeded):
        with lq.context.metrics_scope(["flip_ratio"]):
            model = network(conv(SparseKernel(16, name="q"), cls))
        history = self.fit(model)
        assert len(history["flip_ratio/q"]) == 2
        assert all(0 < ratio < 1 for ratio in history["flip_ratio/q"])

    @pytest.mark.parametrize("method", sorted(METHODS))
    def test_argument(self, method, seeded, tmp_path):
        options = {} if method == "one_bit" else {"codewords": 16}
        quantizer = METHODS[method](metrics=["flip_ratio"], name="q", **options)
        model = network(conv(quantizer))
        assert "flip_ratio/q" in self.fit(model)
        # The metric's state is no weight of the model, as with larq's quantizers.
        twin = network(conv(METHODS[method](name="q", **options)))
        assert model.count_params() == twin.count_params()
        twin.set_weights(model.get_weights())
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        x = np.ones((1, 8, 8, 8), np.float32)
        np.testing.assert_array_equal(model(x), loaded(x))

    def test_scaled_kernels_flip_too(self, seeded):
        quantizer = SparseKernel(16, magnitude_scale=True, metrics=["flip_ratio"], name="q")
        assert self.fit(network(conv(quantizer)))["flip_ratio/q"][0] > 0
