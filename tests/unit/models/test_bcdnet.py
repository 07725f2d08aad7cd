"""BCDNet's blocks: what they compute, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn import models
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.analysis.usage import binary_layers
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import ChannelShift
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers
from keras_sparsebnn.models.blocks.mlp_block import mlp_block
from keras_sparsebnn.models.blocks.mobilenet_block import mobilenet_block
from keras_sparsebnn.models.blocks.react_block import react_conv
from keras_sparsebnn.quantizers import FixedSubset, OneBit
from keras_sparsebnn.transforms.kernels import quantized_kernel

SIDE, C = 5, 8


def one_bit(n):
    return OneBit(n)


def built(make, **options):
    """A model of one block, and its parts by name."""
    images = keras.layers.Input((SIDE, SIDE, C))
    layers = BinaryLayers(512, one_bit, "approx_sign")
    model = keras.Model(images, make(images, layers=layers, name="x", **options))
    return model, model.get_layer


def scramble(model, rng):
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean = rng.normal(size=(3, layer.gamma.shape[0]))
            layer.set_weights([gamma, beta, mean, rng.uniform(0.5, 2, gamma.shape)])
        elif layer.name.endswith(("_shift", "_rprelu")) and layer.weights:
            layer.set_weights([0.3 * rng.normal(size=w.shape) for w in layer.get_weights()])


def signs(x):
    return np.where(x < 0, -1.0, 1.0)


class TestMLPBlock:
    def test_near_and_middle_are_one_3x3_convolution(self, rng):
        """Kernels with two taps, on a map that goes round."""
        _, part = built(mlp_block, shift="circular")
        x = rng.normal(size=(2, SIDE, SIDE, C)).astype(np.float32)
        middle, near = (quantized_kernel(part(name)) for name in ("x", "x_near"))
        kernel = np.zeros((3, 3, C, C))
        kernel[1, 1] = middle[0, 0]
        # Where a quarter's neighbour is: above, below, left, right.
        for quarter, (i, j) in enumerate(((0, 1), (2, 1), (1, 0), (1, 2))):
            inputs = slice(quarter * C // 4, (quarter + 1) * C // 4)
            kernel[i, j, inputs] = near[0, 0, inputs]
        around = np.pad(signs(x), [(0, 0), (1, 1), (1, 1), (0, 0)], mode="wrap")
        expected = tf.nn.conv2d(around, kernel, 1, "VALID")
        found = part("x")(x) + part("x_near")(part("x_near_shift")(x))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("shift", ["circular", "pad"])
    def test_by_hand(self, rng, shift):
        model, part = built(mlp_block, shift=shift)
        scramble(model, rng)
        x = rng.normal(size=(2, SIDE, SIDE, C)).astype(np.float32)
        a = x + part("x_shift").shift.numpy()
        total = 0.0
        for name, distance in (("x", None), ("x_near", 1), ("x_far", 2)):
            latent = part(name).get_weights()[0][0, 0]
            moved = a if distance is None else ChannelShift(distance, shift)(a).numpy()
            total += (signs(moved) @ signs(latent)) * np.abs(latent).mean(axis=0)
        norm = part("x_bn")
        scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
        y = x + scale * (total - norm.moving_mean.numpy()) + norm.beta.numpy()
        bend = part("x_rprelu")
        gamma, beta, zeta = (w.numpy() for w in (bend.gamma, bend.beta, bend.zeta))
        y = np.where(y > gamma, y - gamma, beta * (y - gamma)) + zeta
        np.testing.assert_allclose(model(x), y, rtol=1e-4, atol=1e-4)

    def test_every_branch_gets_scaled_gradients(self, rng):
        model, part = built(mlp_block, shift="circular")
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(rng.normal(size=(2, SIDE, SIDE, C))) ** 2)
        kernels = [part(name).kernel for name in ("x", "x_near", "x_far")]
        assert all(np.any(g.numpy()) for g in tape.gradient(loss, kernels))
        assert all(
            part(name).kernel_quantizer.magnitude_scale for name in ("x", "x_near", "x_far")
        )


class TestMobileNetBlock:
    def test_doubling_is_two_convolutions_side_by_side(self, rng):
        model, part = built(mobilenet_block, filters=2 * C, stride=2)
        scramble(model, rng)
        x = rng.normal(size=(2, SIDE, SIDE, C)).astype(np.float32)
        before, at = (
            keras.Model(model.input, part(f"x_{name}").output)
            for name in ("rprelu", "pw_rprelu")
        )
        h = before(x).numpy()
        kernel = quantized_kernel(part("x_pw"))[0, 0]
        s = signs(h + part("x_pw_shift").shift.numpy())
        norm = part("x_pw_bn")
        scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
        shift = norm.beta.numpy() - scale * norm.moving_mean.numpy()
        halves = [
            scale[half] * (s @ kernel[:, half]) + shift[half] + h
            for half in (slice(0, C), slice(C, None))
        ]
        expected = part("x_pw_rprelu")(np.concatenate(halves, axis=3))
        assert at.output_shape == (None, 3, 3, 2 * C)
        np.testing.assert_allclose(at(x), expected, rtol=1e-4, atol=1e-4)

    def test_other_widths(self):
        with pytest.raises(
            SparseBNNError, match=r"Expected 8 or 16 filters, .* got 12 \(layer"
        ):
            built(mobilenet_block, filters=12)


class TestDynamicBlock:
    def test_without_context_it_is_the_static_block(self, rng):
        """W2 = W3 = 0; the scale of the kernels is the batch norm's."""
        static, of_static = built(react_conv, filters=C)
        dynamic, of_dynamic = built(react_conv, filters=C, reduction=4)
        scramble(static, rng)
        latent = of_static("x").get_weights()[0]
        of_dynamic("x").set_weights(
            [latent, *of_dynamic("x").get_weights()[1:]]  # state of the quantizer
        )
        embedding = of_dynamic("x_embedding")
        embedding.set_weights(
            [
                rng.normal(size=embedding.w1.shape),
                np.zeros(embedding.w2.shape),
                np.zeros(embedding.w3.shape),
                of_static("x_shift").shift.numpy(),
            ]
        )
        alpha = np.abs(latent).mean(axis=(0, 1, 2))
        gamma, beta, mean, variance = of_static("x_bn").get_weights()
        epsilon = of_static("x_bn").epsilon
        gamma = gamma / np.sqrt(variance + epsilon) * np.sqrt(1 + epsilon) / alpha
        of_dynamic("x_bn").set_weights([gamma, beta, mean * alpha, np.ones(C)])
        x = rng.normal(size=(2, SIDE, SIDE, C)).astype(np.float32)
        np.testing.assert_allclose(dynamic(x), static(x), rtol=1e-3, atol=1e-3)

    def test_context_changes_the_threshold(self, rng):
        dynamic, part = built(react_conv, filters=C, reduction=4)
        x = rng.normal(size=(1, SIDE, SIDE, C)).astype(np.float32)
        before = dynamic(x).numpy()
        embedding = part("x_embedding")
        embedding.w2.assign(rng.normal(size=embedding.w2.shape) * 10)
        assert np.any(dynamic(x).numpy() != before)


class TestNetworks:
    def test_form_for_small_images(self):
        options = {"kernel_quantizer": one_bit, "codewords": 512, "width": 4, "mlp_groups": 1}
        model = models.bcdnet_a((28, 28, 1), 10, depths=(1,) * 5, **options)
        assert model.get_layer("stem").strides == (1, 1)
        assert model.get_layer("mlp0_0").output_shape == (None, 4, 4, 128)

    def test_only_3x3_layers_have_codewords(self):
        options = {"width": 8, "depths": (1,), "mlp_groups": 1, "codewords": 16}
        model = models.bcdnet_b((8, 8, 3), 4, kernel_quantizer=FixedSubset, **options)
        for layer in binary_layers(model):
            n = 16 if layer.kernel_size == (3, 3) else 2
            assert layer.kernel_quantizer.codewords == n
            # Where something is added before batch norm.
            assert layer.kernel_quantizer.magnitude_scale == (layer.name != "mlp0_3")

    def test_mixed_precision(self, rng):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        try:
            options = {"width": 4, "depths": (1,), "mlp_groups": 1}
            model = models.bcdnet_b((8, 8, 3), 2, kernel_quantizer=FixedSubset, **options)
        finally:
            keras.mixed_precision.set_global_policy("float32")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, run_eagerly=True)
        assert np.isfinite(
            model.train_on_batch(rng.normal(size=(4, 8, 8, 3)), np.arange(4) % 2)
        )
        assert model.get_layer("mlp0_0_near_shift").compute_dtype == "bfloat16"
        frozen = ksb.freeze(model)
        assert {x.compute_dtype for x in frozen.layers} == {"float32"}
