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


@pytest.mark.parametrize(("channels", "maximum"), [(1, 16), (1, 255), (3, 255)])
def test_images_are_what_other_programs_read(channels: int, maximum: int):
    pil = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(channels + maximum)
    image = rng.integers(0, maximum + 1, (4, 6, channels), np.uint8)
    read_back = np.asarray(pil.open(io.BytesIO(assets.png(image, maximum))))
    assert read_back.dtype == np.uint8
    np.testing.assert_array_equal(
        read_back.reshape(image.shape), np.rint(image.astype(float) * 255 / maximum)
    )
