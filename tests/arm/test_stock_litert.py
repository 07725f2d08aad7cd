"""Stock LiteRT on AArch64 with the delegate = LCE's own interpreter here, exactly."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

lce = pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from larq_compute_engine.tflite.python.interpreter import Interpreter  # noqa: E402

from keras_sparsebnn._keras import keras  # noqa: E402
from keras_sparsebnn.converters import compress, convert_keras_model, inspect  # noqa: E402
from keras_sparsebnn.layers import SparseBinaryConv2D  # noqa: E402
from keras_sparsebnn.quantizers import FixedSubset  # noqa: E402
from keras_sparsebnn.runtime import custom_ops  # noqa: E402

SCRIPT = Path(__file__).with_name("run_in_stock_litert.py")
KERNELS = ("auto", "xnor", "codebook", "reference")
SAMPLES = 3


def binary(filters, codewords=16, **options):
    options = {"padding": "same", "pad_values": 1.0, "use_bias": False, **options}
    return SparseBinaryConv2D(
        filters,
        options.pop("kernel_size", 3),
        kernel_quantizer=FixedSubset(codewords, seed=filters),
        input_quantizer="ste_sign",
        **options,
    )


def chain():
    """Bits from layer to layer, with pooling; 40 channels are no multiple of 32."""
    x = images = keras.layers.Input((13, 11, 40))
    for filters, options in ((96, {}), (40, {"strides": 2}), (64, {"codewords": 512})):
        x = keras.layers.BatchNormalization()(binary(filters, **options)(x))
    x = keras.layers.MaxPooling2D(2)(x)
    x = binary(32, 4)(x)
    return keras.Model(images, keras.layers.BatchNormalization()(x))


def residual():
    """Floats between the layers: shortcuts, PReLU, a 1x1 layer, zero padding, groups."""
    x = images = keras.layers.Input((14, 14, 64))
    y = keras.layers.BatchNormalization()(binary(64, 32)(x))
    x = keras.layers.PReLU(shared_axes=[1, 2])(keras.layers.add([x, y]))
    y = keras.layers.BatchNormalization()(binary(128, 32, strides=2, pad_values=0.0)(x))
    x = binary(128, 2, kernel_size=1)(keras.layers.MaxPooling2D(2)(x))
    x = keras.layers.add([keras.layers.BatchNormalization()(x), y])
    return keras.Model(images, binary(128, 8, groups=2, activation="relu")(x))


def odd():
    """Valid padding, dilation, 5 channels in and 3 out."""
    x = images = keras.layers.Input((12, 17, 5))
    x = keras.layers.BatchNormalization()(binary(3, 8, padding="valid", pad_values=0.0)(x))
    return keras.Model(images, binary(33, 8, dilation_rate=2)(x))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of `.tflite` files, their inputs and what LCE makes of them here."""
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(7)
    keras.utils.set_random_seed(7)
    for make in (chain, residual, odd):
        model = make()
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                shape = layer.gamma.shape
                mean, variance = 10 * rng.normal(size=shape), rng.uniform(0.5, 2, shape)
                layer.set_weights([*rng.normal(size=(2, *shape)), mean, variance])
            elif isinstance(layer, keras.layers.PReLU):
                layer.set_weights([rng.uniform(-0.5, 0.5, layer.alpha.shape)])
        inputs = rng.normal(size=(SAMPLES, *model.input_shape[1:])).astype(np.float32)
        flat = convert_keras_model(model)
        # The kernel that knows groups; it is LCE's fast one on ARM.
        expected = Interpreter(flat, use_indirect_bgemm=True).predict(inputs)
        names = {make.__name__: flat, f"{make.__name__}_subbit": compress(flat)}
        for name, data in names.items():
            (folder / f"{name}.tflite").write_bytes(data)
            np.save(folder / f"{name}.inputs.npy", inputs)
            np.save(folder / f"{name}.expected.npy", expected)
    return folder


@pytest.fixture(scope="module")
def outputs(models, sysroot, wheel, run_guest, tmp_path_factory):
    """The folder, with what the emulated machine made of the files."""
    folder = tmp_path_factory.mktemp("library")
    with zipfile.ZipFile(wheel) as archive:
        library = archive.extract(
            "keras_sparsebnn/runtime/libsparsebnn_delegate.so", path=folder
        )
    run_guest(sysroot / "site", SCRIPT, library, models)
    return models


def test_the_models_hold_what_they_are_here_for(models):
    layers = inspect((models / "chain.tflite").read_bytes()).binary_layers
    assert [layer.output_type for layer in layers] == ["bits", "bits", "bits", "FLOAT32"]
    assert "LceBMaxPool2d" in custom_ops((models / "chain.tflite").read_bytes())
    for name in ("chain", "residual"):
        ops = custom_ops((models / f"{name}_subbit.tflite").read_bytes())
        assert "SparsebnnBconv2d" in ops


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "name", ["chain", "chain_subbit", "residual", "residual_subbit", "odd", "odd_subbit"]
)
def test_equals_lce(outputs, name, kernel):
    expected = np.load(outputs / f"{name}.expected.npy")
    assert np.ptp(expected) > 1
    for threads in (1, 3):
        held = np.load(outputs / f"{name}.{kernel}.{threads}.npy")
        np.testing.assert_array_equal(held, expected)
