"""A test split that is held out of the training split."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn import data
from keras_sparsebnn.errors import SparseBNNError
from tests.unit.data.batches import arrays


class TestHoldout:
    def test_comes_from_the_end_of_the_training_split(self, digits):
        dataset = data.load("digits", holdout=0.25)
        assert (dataset.train_size, dataset.test_size) == (1442 - 360, 360)
        images, labels = arrays(dataset.test(100))
        np.testing.assert_array_equal(
            images, np.asarray(digits._train.images[-360:], np.float32) / 8 - 1
        )
        np.testing.assert_array_equal(labels, digits._train.labels[-360:])

    def test_synthetic_images_are_the_same_ones(self):
        whole = data.load("synthetic/10", image_size=8)
        parted = data.load("synthetic/10", image_size=8, holdout=0.3)
        assert (parted.train_size, parted.test_size) == (7, 3)
        stored, _ = arrays(whole._finish(whole._train.batches(None, 4, None), None))
        np.testing.assert_array_equal(arrays(parted.test(4))[0], stored[7:])

    @pytest.mark.parametrize("holdout", [0, 1, -0.5, 2])
    def test_no_fraction(self, holdout):
        with pytest.raises(SparseBNNError, match=r"`holdout` in \(0, 1\), got"):
            data.load("digits", holdout=holdout)

    def test_too_small_to_hold_anything(self):
        with pytest.raises(SparseBNNError, match=r"some but not all of 4 images, got 0\.01"):
            data.load("synthetic/4", image_size=8, holdout=0.01)
