"""An LCE file and a stock one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.runtime.stock_models import stock


@pytest.fixture(scope="session")
def lce_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sign -> binary conv -> pool network, converted by LCE's own converter."""
    lce = pytest.importorskip("larq_compute_engine")
    from keras_sparsebnn._keras import keras
    from keras_sparsebnn.layers import SparseBinaryConv2D
    from keras_sparsebnn.quantizers import SparseKernel
    from keras_sparsebnn.transforms.freezing import freeze

    keras.utils.set_random_seed(7)
    x = images = keras.layers.Input((6, 6, 32))
    x = SparseBinaryConv2D(
        32,
        3,
        kernel_quantizer=SparseKernel(16, seed=7),
        padding="same",
        pad_values=1.0,
        input_quantizer="approx_sign",
        use_bias=False,
    )(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = freeze(keras.Model(images, keras.layers.Dense(3)(x)))
    path = tmp_path_factory.mktemp("lce") / "lce.tflite"
    path.write_bytes(lce.convert_keras_model(model))
    return path


@pytest.fixture(scope="session")
def stock_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`2x + 1`."""
    path = tmp_path_factory.mktemp("stock") / "stock.tflite"
    path.write_bytes(stock(lambda x: 2.0 * x + 1.0, (1, 4)))
    return path
