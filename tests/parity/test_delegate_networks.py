"""Whole networks through LCE's converter: the delegate in stock TFLite = LCE's interpreter."""

from __future__ import annotations

import numpy as np
import pytest

lce = pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")
lq = pytest.importorskip("larq", reason="needs the [train] extra")

from larq_compute_engine.tflite.python.interpreter import Interpreter  # noqa: E402

from keras_sparsebnn._keras import keras  # noqa: E402
from keras_sparsebnn.converters import convert_keras_model  # noqa: E402
from keras_sparsebnn.tflite_file import read  # noqa: E402

layers = keras.layers


def binary_conv(x, filters, size=3, **changed):
    options = {"padding": "same", "pad_values": 1.0, "use_bias": False, **changed}
    return lq.layers.QuantConv2D(
        filters,
        size,
        input_quantizer="ste_sign",
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
        **options,
    )(x)


def stem(images, filters):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(images)
    return layers.BatchNormalization()(x)


def vgg_like(images):
    """Bit-packed hand-over between convolutions, max pooling of bits, SAME-one and VALID."""
    x = stem(images, 48)
    for filters, padding in ((48, "same"), (96, "same"), (80, "valid"), (72, "same")):
        x = layers.BatchNormalization()(binary_conv(x, filters, padding=padding))
        x = layers.MaxPooling2D(2)(x) if filters == 96 else x
    return layers.Dense(10)(layers.Flatten()(x))


def resnet_like(images):
    """Float shortcuts, PReLU, stride 2, 1x1 binary shortcuts, zero padding."""
    x = stem(images, 32)
    for filters, stride, pad_values in ((32, 1, 0.0), (64, 2, 1.0), (128, 2, 0.0)):
        shortcut = x
        if stride > 1:
            shortcut = layers.AveragePooling2D(2)(x)
            shortcut = binary_conv(shortcut, filters, 1)
            shortcut = layers.BatchNormalization()(shortcut)
        x = binary_conv(x, filters, strides=stride, pad_values=pad_values)
        x = layers.PReLU(shared_axes=[1, 2])(layers.BatchNormalization()(x))
        x = layers.Add()([x, shortcut])
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))


def grouped(images):
    """Groups of 32 and 64 channels, dilation, a fused ReLU."""
    x = stem(images, 64)
    x = binary_conv(x, 96, groups=2)
    x = layers.BatchNormalization()(layers.ReLU()(x))
    x = binary_conv(x, 128, pad_values=1.0, dilation_rate=2)
    x = layers.BatchNormalization()(x)
    x = binary_conv(x, 64, groups=2, padding="valid")
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))


def dense_blocks(images):
    """Each layer reads all before it."""
    x = stem(images, 64)
    for _ in range(3):
        new = binary_conv(layers.BatchNormalization()(x), 32)
        x = layers.Concatenate()([x, new])
    x = layers.MaxPooling2D(2)(x)
    x = binary_conv(layers.BatchNormalization()(x), 80, 1)
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))


NETWORKS = {f.__name__: f for f in (vgg_like, resnet_like, grouped, dense_blocks)}


def scramble(model, rng):
    """Batch norms and PReLUs as training may leave them: negative scales, wide statistics."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            (count,) = layer.gamma.shape
            gamma, beta, mean = rng.normal(size=(3, count)) * [[1], [1], [10]]
            layer.set_weights([gamma, beta, mean, rng.uniform(0.5, 20, count)])
        elif isinstance(layer, layers.PReLU):
            layer.set_weights([rng.uniform(-0.5, 0.5, layer.alpha.shape)])


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    """The LCE file of a network with random weights."""
    keras.utils.set_random_seed(1)
    images = keras.Input((16, 16, 3))
    model = keras.Model(images, NETWORKS[request.param](images))
    scramble(model, np.random.default_rng(1))
    return convert_keras_model(model)


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(2).normal(size=(4, 16, 16, 3)).astype(np.float32)


# The float ops around the binary ones are TFLite's own, of another version than LCE has built
# in and with other kernels (XNNPACK): sums of up to 27 * 64 products differ in the last places.
# The binary layers pass a difference on only where it moves a value over zero, which it does
# for none of these images.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def lce_outputs(flat, x):
    try:
        return Interpreter(flat).predict(x)
    except RuntimeError:  # its optimised kernel knows no groups
        return Interpreter(flat, use_reference_bconv=True).predict(x)


def lce_ops(flat):
    """Names of the custom ops, in the file's order."""
    names = [operator.name for operator in read(flat).subgraphs[0].operators]
    return [name for name in names if name.startswith("Lce")]


@pytest.mark.parametrize("kernel", ["auto", "xnor", "codebook", "reference"])
def test_network_equals_lce(runner, network, photos, kernel):
    delegate = runner.load(kernel=kernel)
    interpreter = runner.interpreter(network, delegate)
    ours = [runner.run_on(interpreter, photo[None])[0][0] for photo in photos]
    np.testing.assert_allclose(ours, lce_outputs(network, photos), **TOLERANCE)
    every = [n["op"] for p in runner.profile(delegate)["partitions"] for n in p["nodes"]]
    nodes = [op for op in every if op.startswith("Lce")]  # without the float ops between them
    assert sorted(nodes) == sorted(lce_ops(network))


def test_the_vgg_pools_bits():
    images = keras.Input((16, 16, 3))
    flat = convert_keras_model(keras.Model(images, vgg_like(images)))
    assert "LceBMaxPool2d" in lce_ops(flat)


def test_a_resized_batch_equals_its_images(runner, network, photos):
    interpreter = runner.interpreter(network)
    together = runner.run_on(interpreter, photos)[0]
    one_by_one = [runner.run_on(interpreter, photo[None])[0][0] for photo in photos]
    np.testing.assert_allclose(together, one_by_one, **TOLERANCE)


def test_trained_network_equals_lce(runner, photos):
    """A few steps of training: clipped weights, moving statistics, codewords that repeat."""
    from keras_sparsebnn.layers import SparseBinaryConv2D

    keras.utils.set_random_seed(3)
    images = keras.Input((16, 16, 3))
    x = stem(images, 32)
    for filters in (32, 64):
        x = SparseBinaryConv2D(
            filters,
            3,
            codewords=16,
            padding="same",
            pad_values=1.0,
            input_quantizer="approx_sign",
            use_bias=False,
        )(x)
        x = layers.BatchNormalization(momentum=0.5)(x)
    x = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(images, x)
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 10, 64)
    samples = rng.normal(size=(64, 16, 16, 3)) + labels[:, None, None, None] / 5
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(samples.astype(np.float32), labels, epochs=3, batch_size=16, verbose=0)
    flat = convert_keras_model(model)
    theirs = lce_outputs(flat, photos)
    for kernel in ("auto", "xnor", "codebook"):
        ours = [runner.run(flat, photo[None], kernel=kernel)[0][0] for photo in photos]
        np.testing.assert_allclose(ours, theirs, **TOLERANCE)
