"""Datasets: what they hold, in which order, and what is said when they cannot be had."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from keras_sparsebnn import data
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.data.digits import read
from keras_sparsebnn.errors import SparseBNNError
from tests.unit.data.batches import arrays


class TestDigits:
    def test_shape_range_and_types(self, digits):
        images, labels = arrays(digits.test(100))
        assert images.shape == (355, 8, 8, 1)
        assert images.dtype == np.float32
        assert labels.dtype == np.int64
        assert (images.min(), images.max()) == (-1, 1)

    def test_the_splits_are_scikit_learns_images_and_stratified(self, digits):
        from sklearn.datasets import load_digits

        bunch = load_digits()
        train, train_labels = arrays(digits.train(0, 0, 1))
        test, test_labels = arrays(digits.test(64))
        ours = np.concatenate([train, test])[..., 0] * 8 + 8
        rows, theirs = ours.reshape(len(ours), -1), bunch.images.reshape(len(bunch.images), -1)
        np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(theirs, axis=0))
        assert len(rows) == len(theirs)
        np.testing.assert_array_equal(
            np.bincount(test_labels),
            (np.bincount(train_labels) + np.bincount(test_labels)) // 5,
        )

    def test_another_scikit_learn_reads_its_own_file(self, monkeypatch):
        (images, labels), (held_out, _) = read()
        monkeypatch.setattr("keras_sparsebnn.data.digits.find_spec", lambda name: None)
        (theirs, their_labels), (their_held_out, _) = read()
        np.testing.assert_array_equal(images, theirs)
        np.testing.assert_array_equal(labels, their_labels)
        np.testing.assert_array_equal(held_out, their_held_out)

    def test_without_scikit_learn(self, monkeypatch):
        for name in ("sklearn", "sklearn.datasets"):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(SparseBNNError, match=r"Expected scikit-learn, .* found none"):
            read()

    def test_no_image_twice_in_an_epoch(self, digits):
        indexed = dataclasses.replace(digits, half_range=1.0)
        images, _ = arrays(indexed.train(0, 0, 1))
        stored = np.asarray(digits._train.images, np.float32) - 1
        order = np.lexsort(images.reshape(len(images), -1).T)
        expected = np.lexsort(stored.reshape(len(stored), -1).T)
        np.testing.assert_array_equal(images[order], stored[expected])

    def test_resize(self):
        images, _ = arrays(data.load("digits", image_size=12).test(64))
        assert images.shape[1:] == (12, 12, 1)


class TestOrder:
    @pytest.mark.parametrize("augmentation", data.AUGMENTATIONS)
    @pytest.mark.parametrize("skip", [1, 13])
    def test_skipping_gives_exactly_the_rest(self, digits, augmentation, skip):
        dataset = dataclasses.replace(digits, augmentation=augmentation)
        all_images, all_labels = arrays(dataset.train(3, 1, 100))
        images, labels = arrays(dataset.train(3, 1, 100, skip))
        np.testing.assert_array_equal(images, all_images[skip * 100 :])
        np.testing.assert_array_equal(labels, all_labels[skip * 100 :])

    def test_depends_on_seed_and_epoch(self, digits):
        labels = [
            arrays(digits.train(epoch, seed, 100))[1]
            for epoch, seed in ((0, 0), (0, 1), (1, 0))
        ]
        again = arrays(data.load("digits").train(0, 0, 100))[1]
        np.testing.assert_array_equal(labels[0], again)
        assert not np.array_equal(labels[0], labels[1])
        assert not np.array_equal(labels[0], labels[2])

    def test_training_batches_are_full_and_test_batches_complete(self, digits):
        sizes = [len(labels) for _, labels in digits.train(0, 0, 100).as_numpy_iterator()]
        assert sizes == [100] * 14 == [100] * digits.steps(100)
        assert len(arrays(digits.test(100))[1]) == digits.test_size

    @pytest.mark.parametrize("batch_size", [0, 1443])
    def test_impossible_batch_size(self, digits, batch_size):
        with pytest.raises(SparseBNNError, match=r"batch size in \[1, 1442\], got"):
            digits.train(0, 0, batch_size)


class TestWorkers:
    @pytest.mark.parametrize("augmentation", ["none", "crop_flip", "resized_crop"])
    def test_share_each_batch(self, digits, augmentation):
        dataset = dataclasses.replace(digits, augmentation=augmentation)
        images, labels = arrays(dataset.train(1, 0, 12, skip=60))
        parts = [
            arrays(dataset.train(1, 0, 12, skip=60, worker=w, workers=2, replicas=4))
            for w in range(2)
        ]
        steps = len(labels) // 12
        together = np.concatenate(
            [part.reshape(steps, 6, *part.shape[1:]) for part, _ in parts], 1
        )
        np.testing.assert_array_equal(together.reshape(images.shape), images)
        (batch, *_) = dataset.train(1, 0, 12, worker=0, workers=2, replicas=4)
        assert batch[0].shape[0] == 3

    def test_cannot_share_a_batch(self, digits):
        with pytest.raises(SparseBNNError, match="that 4 replicas can share equally, got 30"):
            digits.train(0, 0, 30, workers=2, replicas=4)


class TestAsDataset:
    def test_each_pass_is_the_next_epoch(self, digits):
        dataset = dataclasses.replace(digits, augmentation="shift")
        batches = dataset.as_dataset("train", 200, seed=3, first_epoch=1)
        assert int(batches.cardinality()) == 7
        for epoch in (1, 2):
            images, labels = arrays(batches)
            expected_images, expected_labels = arrays(dataset.train(epoch, 3, 200))
            np.testing.assert_array_equal(images, expected_images)
            np.testing.assert_array_equal(labels, expected_labels)

    def test_fit_knows_its_steps_and_sees_every_epoch_once(self, digits):
        seen = []

        class Watched(keras.Model):
            def train_step(self, batch):
                tf.py_function(lambda y: seen.append(y.numpy()), [batch[1]], [])
                return super().train_step(batch)

        x = keras.layers.Input(digits.input_shape)
        model = Watched(x, keras.layers.Dense(10)(keras.layers.Flatten()(x)))
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        fitted = model.fit(
            digits.as_dataset("train", 480),
            epochs=3,
            validation_data=digits.as_dataset("test", 100),
            verbose=0,
        )
        assert len(fitted.history["val_loss"]) == 3
        assert fitted.params["steps"] == 3
        expected = [arrays(digits.train(epoch, 0, 480))[1] for epoch in range(3)]
        np.testing.assert_array_equal(np.concatenate(seen), np.concatenate(expected))

    def test_the_test_split_is_whole(self, digits):
        batches = digits.as_dataset("test", 100)
        assert int(batches.cardinality()) == 4
        assert len(arrays(batches)[1]) == digits.test_size

    def test_errors(self, digits):
        with pytest.raises(SparseBNNError, match='"train" or "test", got \'val\''):
            digits.as_dataset("val")
        for split in ("train", "test"):
            with pytest.raises(SparseBNNError, match="a batch size"):
                digits.as_dataset(split, 0)


def test_batches_have_static_shapes(digits):
    images, labels = digits.train(0, 0, 64).element_spec
    assert images == tf.TensorSpec([64, 8, 8, 1], tf.float32)
    assert labels == tf.TensorSpec([64], tf.int64)
