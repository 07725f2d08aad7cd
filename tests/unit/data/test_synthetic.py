"""Images made of a seed."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn import data
from keras_sparsebnn.errors import SparseBNNError
from tests.unit.data.batches import arrays


class TestSynthetic:
    def test_images(self):
        dataset = data.load("synthetic/64", image_size=32)
        assert (dataset.input_shape, dataset.classes) == ((32, 32, 3), 1000)
        assert (dataset.train_size, dataset.test_size) == (64, 16)
        images, labels = arrays(dataset.train(0, 0, 8))
        assert len(np.unique(labels)) == 64
        # The mean colour tells the class.
        raw = (images.mean(axis=(1, 2)) + 1) * 127.5
        digits = np.stack([labels // 100, labels // 10 % 10, labels % 10], -1)
        np.testing.assert_allclose(raw, digits * 20 + 20, atol=3)

    def test_resuming(self):
        dataset = data.load("synthetic/64", image_size=16, augmentation="resized_crop")
        whole, rest = (arrays(dataset.train(2, 1, 8, skip))[0] for skip in (0, 5))
        np.testing.assert_array_equal(rest, whole[40:])

    def test_no_image(self):
        with pytest.raises(SparseBNNError, match="at least one image, got synthetic/0"):
            data.load("synthetic/0")
