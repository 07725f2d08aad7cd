"""Augmentations: what they do to images, and that they are reproducible."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from keras_sparsebnn import data
from keras_sparsebnn._keras import tf
from keras_sparsebnn.data import augmentation
from keras_sparsebnn.errors import SparseBNNError

tfds = pytest.importorskip("tensorflow_datasets")


def arrays(batches) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


class TestAugmentation:
    def test_is_keyed_by_position_whatever_the_batch_size(self, digits):
        dataset = dataclasses.replace(digits, augmentation="flip_shift")
        by_two, by_ten = arrays(dataset.train(0, 0, 2))[0], arrays(dataset.train(0, 0, 10))[0]
        np.testing.assert_array_equal(by_two[:1440], by_ten)

    def test_is_the_shift_and_flip_that_was_drawn(self, digits):
        dataset = dataclasses.replace(digits, augmentation="flip_shift")
        plain, augmented = arrays(digits.train(5, 2, 7))[0], arrays(dataset.train(5, 2, 7))[0]
        draws = augmentation.draw_offsets("flip_shift", 2, 5, (8, 8, 1), 1442)
        assert {tuple(d) for d in draws} == {
            (y, x, flip) for y in (-1, 0, 1) for x in (-1, 0, 1) for flip in (0, 1)
        }
        for image, (down, right, mirrored), result in zip(
            plain, draws[: len(plain)], augmented, strict=True
        ):
            padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
            shifted = padded[1 - down : 9 - down, 1 - right : 9 - right]
            if mirrored:
                # The columns are gathered mirrored, then counted from the other side.
                columns = 7 - np.clip(np.arange(8) - right, 0, 7)
                shifted = padded[1 - down : 9 - down, 1:9][:, columns]
            np.testing.assert_array_equal(result, shifted)

    def test_is_the_crop_and_flip_that_was_drawn(self, digits):
        dataset = dataclasses.replace(digits, augmentation="crop_flip")
        plain, augmented = arrays(digits.train(5, 2, 7))[0], arrays(dataset.train(5, 2, 7))[0]
        draws = augmentation.draw_offsets("crop_flip", 2, 5, (8, 8, 1), 1442)[: len(plain)]
        assert draws.min(axis=0).tolist() == [-4, -4, 0]
        assert draws.max(axis=0).tolist() == [4, 4, 1]
        for image, (down, right, mirrored), result in zip(plain, draws, augmented, strict=True):
            padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), constant_values=-1)
            cropped = padded[4 - down : 12 - down, 4 - right : 12 - right]
            np.testing.assert_array_equal(result, cropped[:, ::-1] if mirrored else cropped)

    def test_crop_alone_never_mirrors(self):
        draws = augmentation.draw_offsets("crop", 0, 0, (8, 8, 1), 1000)
        assert draws[:, 2].max() == 0
        assert len(np.unique(draws[:, :2], axis=0)) == 81

    @pytest.mark.parametrize("kind", ["flip_shift", "crop_flip", "resized_crop_lighting"])
    def test_leaves_the_test_split_alone(self, digits, kind):
        dataset = dataclasses.replace(digits, augmentation=kind)
        np.testing.assert_array_equal(arrays(dataset.test(64))[0], arrays(digits.test(64))[0])

    def test_unknown(self):
        with pytest.raises(SparseBNNError, match=r"one of none, shift, .*, got 'mixup'"):
            data.load("digits", augmentation="mixup")


@pytest.fixture(scope="module")
def crops():
    """On an image whose every pixel tells its place: red is the column, green the row."""
    rows, columns = np.mgrid[0:60, 0:100]
    image = tf.constant(np.stack([columns, rows, 0 * rows], -1).astype(np.uint8))

    def crop(seed, lighting=False):
        return augmentation.random_resized_crop(
            image, tf.stack([tf.constant(3, tf.int64), seed]), (24, 24, 3), lighting=lighting
        )

    compiled = tf.function(crop)
    return np.stack([compiled(tf.constant(s, tf.int64)).numpy() for s in range(200)]), crop


class TestResizedCrop:
    def test_is_a_part_of_the_area_and_aspect_asked_for(self, crops):
        images, _ = crops
        columns, rows = images[:, 12, :, 0], images[:, :, 12, 1]
        # 24 samples of a ramp show 23/24 of it; the ends are averaged with what lies inside.
        width = np.abs(columns[:, -2] - columns[:, 1]) / 21 * 24
        height = (rows[:, -2] - rows[:, 1]) / 21 * 24
        area, aspect = width * height / 6000, width / height
        assert area.min() == pytest.approx(0.08, abs=0.04)
        assert 0.6 < area.max() < 1.05
        assert 0.7 < aspect.min() < 0.85
        assert 1.2 < aspect.max() < 1.45
        mirrored = columns[:, 0] > columns[:, -1]
        assert 0.35 < mirrored.mean() < 0.65
        assert len(np.unique(images[:, 0, 0], axis=0)) > 150

    def test_same_seed_same_crop(self, crops):
        images, crop = crops
        np.testing.assert_array_equal(crop(tf.constant(17, tf.int64)), images[17])

    def test_lighting_shifts_all_pixels_alike(self, crops):
        images, crop = crops
        shifts = np.stack(
            [crop(tf.constant(s, tf.int64), lighting=True) - images[s] for s in range(40)]
        )
        spread = shifts - shifts[:, :1, :1]
        np.testing.assert_allclose(spread, 0, atol=1e-4)
        # Mostly brightness: 255 * 0.1 * 0.2175 along (-0.57, -0.58, -0.58).
        first = shifts[:, 0, 0]
        assert 2 < np.std(first @ [-0.5675, -0.5808, -0.5836]) < 10
        assert np.std(first @ [0.4009, -0.8140, 0.4203]) < 0.5

    def test_center_crop(self):
        rows, columns = np.mgrid[0:64, 0:128]
        image = np.stack([columns, rows], -1).astype(np.uint8)
        result = augmentation.center_crop(tf.constant(image), 28).numpy().astype(int)
        # 64 rows become 32, each two pixels; the middle 28 of the 64 columns start at the 18th.
        assert result.shape == (28, 28, 2)
        np.testing.assert_allclose(result[:, 5, 1], 2 * np.arange(28) + 4.5, atol=1)
        np.testing.assert_allclose(result[5, :, 0], 2 * np.arange(28) + 36.5, atol=1)
