"""SparseBinaryConv2D: a thin layer over larq's."""

import numpy as np
import pytest

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.quantizers import FixedSubset, SparseKernel

pytestmark = pytest.mark.smoke


def test_equals_quant_conv_with_the_quantizer(rng, seeded):
    options = {
        "padding": "same",
        "pad_values": 1.0,
        "input_quantizer": "approx_sign",
        "use_bias": False,
    }
    outputs = []
    x = rng.normal(size=(2, 8, 8, 4)).astype(np.float32)
    for make in (
        lambda: SparseBinaryConv2D(6, 3, kernel_quantizer=SparseKernel(16, seed=1), **options),
        lambda: lq.layers.QuantConv2D(
            6,
            3,
            kernel_quantizer=SparseKernel(16, seed=1),
            kernel_constraint="weight_clip",
            **options,
        ),
    ):
        keras.utils.set_random_seed(seeded)
        outputs.append(make()(x).numpy())
    assert np.array_equal(*outputs)


def test_codewords_is_the_quantizers(seeded):
    assert SparseBinaryConv2D(4, 3, codewords=64).kernel_quantizer.codewords == 64
    assert SparseBinaryConv2D(4, 3).kernel_quantizer.codewords == 32
    assert SparseBinaryConv2D(4, 3, kernel_quantizer="ste_sign").kernel_quantizer.precision == 1


def test_weights_exist_once_built():
    layer = SparseBinaryConv2D(4, 3, codewords=16)
    layer.build((None, 8, 8, 2))
    names = [weight.name.split("/")[-1].split(":")[0] for weight in layer.weights]
    assert names[:4] == ["kernel", "bias", "positions", "selection"]
    assert layer.kernel_quantizer.positions.shape == (16, 9)


@pytest.mark.parametrize("kernel_size", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strides": 2},
        {"dilation_rate": 2},
        {"groups": 2},
        {"padding": "same", "pad_values": 1.0},
        {"padding": "valid"},
        {"use_bias": False},
    ],
    ids=str,
)
def test_geometry_of_the_parent(rng, kernel_size, options):
    x = rng.normal(size=(2, 9, 9, 4)).astype(np.float32)
    ours = SparseBinaryConv2D(6, kernel_size, codewords=2, **options)
    theirs = lq.layers.QuantConv2D(
        6,
        kernel_size,
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
        **options,
    )
    assert ours(x).shape == theirs(x).shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 5}, "Expected a kernel size of 1, 2 or 3, got 5"),
        ({"kernel_size": (3, 1)}, r"Expected a square kernel, got 3x1 \(layer conv7\)"),
        ({"codewords": 48}, r"got 48 \(layer conv7\). Use 32 or 64"),
        ({"kernel_size": 1, "codewords": 4}, r"in \[2, 2\], got 4 \(layer conv7\). Use 2"),
        (
            {"codewords": 32, "kernel_quantizer": FixedSubset(32)},
            "Expected `codewords` or `kernel_quantizer`, got both",
        ),
        (
            {"codewords": 32, "kernel_quantizer": "ste_sign"},
            "with codewords for codewords=32, got 'ste_sign'",
        ),
    ],
)
def test_errors_name_the_layer(arguments, message):
    with pytest.raises(ValueError, match=message):
        SparseBinaryConv2D(8, **arguments, name="conv7")
