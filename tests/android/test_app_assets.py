"""What the app's assets are made of."""

from __future__ import annotations

import io

import numpy as np
import pytest

from android_demo.tools import assets
from keras_sparsebnn.tflite_file import ModelBuilder
from keras_sparsebnn.tflite_file.associated_files import with_labels


@pytest.fixture(scope="module")
def model() -> bytes:
    builder = ModelBuilder()
    x, y = (builder.activation([1, 4], "float32") for _ in range(2))
    builder.operator("RELU", [x], [y])
    return builder.to_bytes([x], [y])


def test_the_model_still_runs(model: bytes):
    x = np.array([[-1, 0, 1, 2]], np.float32)
    result = assets.predict(with_labels(model, ["a"]), x)
    np.testing.assert_array_equal(result, np.maximum(x, 0))


def test_int8_models_are_given_and_give_real_numbers():
    builder = ModelBuilder()
    x, y = (builder.activation([1, 4], "int8", 0.5, 3) for _ in range(2))
    builder.operator("RELU", [x], [y], version=2)
    images = np.array([[-200, -0.5, 0.74, 1.5]], np.float32)
    result = assets.predict(builder.to_bytes([x], [y]), images)
    np.testing.assert_array_equal(result, np.array([[0, 0, 0.5, 1.5]], np.float32))


def test_pictures_are_what_other_programs_read():
    image_module = pytest.importorskip("PIL.Image")
    image = np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6, 1)
    read_back = np.asarray(image_module.open(io.BytesIO(assets.grey_png(image))))
    np.testing.assert_array_equal(read_back, np.rint((image[..., 0] + 1) * 127.5))
