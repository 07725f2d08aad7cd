"""The example on QuickNet: larq-zoo's layers, and all its steps with random weights."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.converters import inspect
from keras_sparsebnn.runtime import Interpreter

PATH = Path(__file__).resolve().parents[2] / "examples" / "quicknet_imagenet.py"


@pytest.fixture
def example(monkeypatch):
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("quicknet_imagenet", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small(example, monkeypatch):
    """The script with a network of two narrow sections and images of 64x64."""
    monkeypatch.setattr(example, "SIZE", 64)
    monkeypatch.setattr(example, "SECTIONS", {"quicknet": ((1, 1), (32, 64))})
    return example


@pytest.fixture
def images(tmp_path):
    """Two classes, dark and bright, in two sizes and formats."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 4)):
        for number, name in enumerate(("n01", "n02")):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 100, (80 + 10 * index, 90, 3)) + 150 * number
                data = tf.constant(pixels.astype(np.uint8))
                file = folder / f"{index}.{'png' if index % 2 else 'JPEG'}"
                encode = tf.io.encode_png if index % 2 else tf.io.encode_jpeg
                file.write_bytes(encode(data).numpy())
    return tmp_path


def test_has_the_published_number_of_parameters(example):
    # larq-zoo's table counts two weights of each batch norm, what folding leaves of it. Its
    # other two networks, 12,655,688 and 23,342,248, differ in SECTIONS only.
    weights = [
        weight
        for layer in example.quicknet("quicknet", 1000).layers
        for weight in layer.weights[: 2 if "normalization" in layer.name else None]
    ]
    assert sum(np.prod(weight.shape) for weight in weights) == 13_234_088


def test_published_weights_fit_and_other_classes_get_a_new_layer(small, tmp_path):
    path = tmp_path / "quicknet_weights.h5"
    keras.utils.set_random_seed(1)
    published = small.quicknet("quicknet", 1000)
    published.save_weights(path)
    for loaded, expected in zip(
        small.trained("quicknet", path, 1000).get_weights(),
        published.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(loaded, expected)
    other = small.trained("quicknet", path, 3)
    assert other.output_shape == (None, 3)
    np.testing.assert_array_equal(other.get_weights()[-3], published.get_weights()[-3])
    other.save_weights(path)
    with pytest.raises(SystemExit, match="Expected the weights of larq-zoo's quicknet"):
        small.trained("quicknet", path, 1000)


def test_images_are_centred_and_normalized(small, tmp_path):
    pixels = np.full((512, 256, 3), 255, np.uint8)
    pixels[100:412, 16:240] = 0
    path = tmp_path / "x.png"
    path.write_bytes(tf.io.encode_png(tf.constant(pixels)).numpy())
    image, label = small.read(tf.constant(str(path)), 7, training=False)
    assert label == 7
    black = -np.array(small.MEAN, np.float32) / np.array(small.DEVIATION, np.float32)
    np.testing.assert_allclose(image, np.broadcast_to(black, (64, 64, 3)), atol=1e-5)


def test_no_images(small, tmp_path):
    with pytest.raises(SystemExit, match="Expected a folder of images for each class"):
        small.listed(tmp_path)


def test_all_steps(small, images, monkeypatch, capsys):
    out = images / "quicknet.tflite"
    options = ["--images", images, "--epochs", 1, "--batch", 4, "--codewords", 8, "--out", out]
    monkeypatch.setattr(sys, "argv", ["quicknet_imagenet.py", *map(str, options)])
    small.main()
    said = capsys.readouterr().out
    assert "8 codewords, sub-bit, other weights int8" in said
    layers = inspect(out).binary_layers
    assert len(layers) == 2
    assert all(layer.distinct_codewords <= 8 for layer in layers)
    x, _ = next(iter(small.batches(images / "val", 2, training=False)))
    assert Interpreter(out).predict(x.numpy()).shape == (2, 2)
