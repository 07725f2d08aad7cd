"""Datasets: what they hold, in which order, and what is said when they cannot be had."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn import data
from keras_sparsebnn._keras import tf
from keras_sparsebnn.errors import SparseBNNError

tfds = pytest.importorskip("tensorflow_datasets")

_TFDS = Path(
    os.environ.get("KERAS_SPARSEBNN_TFDS")
    or Path(__file__).resolve().parents[2].parent / "shared" / "tfds"
)
needs_fashion_mnist = pytest.mark.skipif(
    not (_TFDS / "fashion_mnist").is_dir(),
    reason=f"no Fashion-MNIST in {_TFDS}; set KERAS_SPARSEBNN_TFDS to a folder that has it",
)


def arrays(batches) -> tuple[np.ndarray, np.ndarray]:
    pictures, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(pictures), np.concatenate(labels)


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture(scope="module")
def fashion() -> data.Dataset:
    return data.load("fashion_mnist", data_dir=_TFDS)


class TestDigits:
    def test_shape_range_and_types(self, digits):
        pictures, labels = arrays(digits.test(100))
        assert pictures.shape == (355, 8, 8, 1)
        assert pictures.dtype == np.float32
        assert labels.dtype == np.int64
        assert (pictures.min(), pictures.max()) == (-1, 1)

    def test_the_splits_are_scikit_learns_pictures_and_stratified(self, digits):
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

    def test_no_picture_twice_in_an_epoch(self, digits):
        indexed = dataclasses.replace(digits, half_range=1.0)
        pictures, _ = arrays(indexed.train(0, 0, 1))
        stored = np.asarray(digits._train.pictures, np.float32) - 1
        order = np.lexsort(pictures.reshape(len(pictures), -1).T)
        expected = np.lexsort(stored.reshape(len(stored), -1).T)
        np.testing.assert_array_equal(pictures[order], stored[expected])

    def test_resize(self):
        pictures, _ = arrays(data.load("digits", image_size=12).test(64))
        assert pictures.shape[1:] == (12, 12, 1)


class TestOrder:
    @pytest.mark.parametrize("augmentation", data.AUGMENTATIONS)
    @pytest.mark.parametrize("skip", [0, 1, 7, 13])
    def test_skipping_gives_exactly_the_rest(self, digits, augmentation, skip):
        dataset = dataclasses.replace(digits, augmentation=augmentation)
        all_pictures, all_labels = arrays(dataset.train(3, 1, 100))
        pictures, labels = arrays(dataset.train(3, 1, 100, skip))
        np.testing.assert_array_equal(pictures, all_pictures[skip * 100 :])
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


class TestAugmentation:
    def test_is_keyed_by_position_whatever_the_batch_size(self, digits):
        dataset = dataclasses.replace(digits, augmentation="flip_shift")
        by_two, by_ten = arrays(dataset.train(0, 0, 2))[0], arrays(dataset.train(0, 0, 10))[0]
        np.testing.assert_array_equal(by_two[:1440], by_ten)

    def test_is_the_shift_and_flip_that_was_drawn(self, digits):
        dataset = dataclasses.replace(digits, augmentation="flip_shift")
        plain, augmented = arrays(digits.train(5, 2, 7))[0], arrays(dataset.train(5, 2, 7))[0]
        draws = dataset._draw_augmentation(5, 2)
        assert {tuple(d) for d in draws} == {
            (y, x, flip) for y in (-1, 0, 1) for x in (-1, 0, 1) for flip in (0, 1)
        }
        for picture, (down, right, mirrored), result in zip(
            plain, draws[: len(plain)], augmented, strict=True
        ):
            padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
            shifted = padded[1 - down : 9 - down, 1 - right : 9 - right]
            if mirrored:
                # The columns are gathered mirrored, then counted from the other side.
                columns = 7 - np.clip(np.arange(8) - right, 0, 7)
                shifted = padded[1 - down : 9 - down, 1:9][:, columns]
            np.testing.assert_array_equal(result, shifted)

    def test_leaves_the_test_split_alone(self, digits):
        dataset = dataclasses.replace(digits, augmentation="flip_shift")
        np.testing.assert_array_equal(arrays(dataset.test(64))[0], arrays(digits.test(64))[0])

    def test_unknown(self):
        with pytest.raises(SparseBNNError, match="one of none, shift, flip_shift, got 'mixup'"):
            data.load("digits", augmentation="mixup")


class _Synthetic(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Pictures of a known colour, written in TFDS's own format, without any download."""

    VERSION = tfds.core.Version("1.0.0")
    SHAPE: tuple = (6, 5, 3)
    SPLITS: tuple = ("train", "test")
    HIDDEN: tuple = ()
    LABEL: object = None
    DTYPE = np.uint8

    def _info(self):
        label = self.LABEL or tfds.features.ClassLabel(num_classes=3)
        image = tfds.features.Image(shape=self.SHAPE, dtype=self.DTYPE)
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict({"image": image, "label": label})
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.SPLITS}

    def _generate_examples(self, split):
        count = 40 if split == "train" else 10
        for i in range(count):
            height, width = (self.SHAPE[0] or 4 + i % 5, self.SHAPE[1] or 9 - i % 5)
            scale = 257 if np.uint16 == self.DTYPE else 1
            picture = np.full((height, width, self.SHAPE[2]), i * scale, self.DTYPE)
            yield i, {"image": picture, "label": -1 if split in self.HIDDEN else i % 3}


def prepared(tmp_path: Path, name: str, **attributes) -> Path:
    cls = type(
        name.title().replace("_", ""), (_Synthetic,), {**attributes, "name": name},
        skip_registration=True,
    )  # fmt: skip
    cls(data_dir=str(tmp_path)).download_and_prepare()
    return tmp_path


class TestTFDS:
    @pytest.mark.parametrize("memory_limit", [0, 1 << 20])
    def test_rgb(self, tmp_path, memory_limit):
        root = prepared(tmp_path, "colours")
        dataset = data.load("colours", data_dir=root, memory_limit=memory_limit)
        assert (dataset.input_shape, dataset.classes) == ((6, 5, 3), 3)
        assert (dataset.train_size, dataset.test_size) == (40, 10)
        pictures, labels = arrays(dataset.train(0, 0, 8))
        values = np.round((pictures[:, 0, 0, 0] + 1) * 127.5).astype(int)
        assert sorted(values) == list(range(40))
        np.testing.assert_array_equal(labels, values % 3)
        assert list(values) != list(range(40))

    @pytest.mark.parametrize("augmentation", ["none", "shift"])
    def test_streaming_skips_and_repeats_exactly(self, tmp_path, augmentation):
        root = prepared(tmp_path, "streamed")
        dataset = data.load(
            "streamed", data_dir=root, memory_limit=0, augmentation=augmentation
        )
        pictures, labels = arrays(dataset.train(1, 2, 8))
        rest, rest_labels = arrays(dataset.train(1, 2, 8, skip=3))
        np.testing.assert_array_equal(rest, pictures[24:])
        np.testing.assert_array_equal(rest_labels, labels[24:])
        assert not np.array_equal(labels, arrays(dataset.train(2, 2, 8))[1])

    def test_sizes_that_vary_need_an_image_size(self, tmp_path):
        root = prepared(tmp_path, "ragged", SHAPE=(None, None, 1))
        with pytest.raises(SparseBNNError, match=r"ragged vary.*--image-size 64"):
            data.load("ragged", data_dir=root)
        dataset = data.load("ragged", data_dir=root, image_size=8)
        pictures, _ = arrays(dataset.train(0, 0, 8))
        assert pictures.shape == (40, 8, 8, 1)
        assert len(np.unique(pictures)) == 40  # one-coloured pictures stay so

    def test_sixteen_bit_pictures(self, tmp_path):
        root = prepared(tmp_path, "deep", DTYPE=np.uint16, SHAPE=(6, 5, 1))
        pictures, _ = arrays(data.load("deep", data_dir=root).test(10))
        values = np.sort(pictures[:, 0, 0, 0])
        np.testing.assert_allclose(values, np.arange(10) / 127.5 - 1, atol=1e-6)

    def test_validation_where_there_is_no_test(self, tmp_path):
        root = prepared(tmp_path, "validated", SPLITS=("train", "validation"))
        assert data.load("validated", data_dir=root).test_size == 10

    def test_validation_where_the_test_labels_are_hidden(self, tmp_path):
        splits = ("train", "validation", "test")
        root = prepared(tmp_path, "hidden", SPLITS=splits, HIDDEN=("test",))
        assert arrays(data.load("hidden", data_dir=root).test(10))[1].min() == 0

    def test_no_test_split(self, tmp_path):
        root = prepared(tmp_path, "untested", SPLITS=("train",))
        with pytest.raises(SparseBNNError, match=r"splits train and test .*, got train "):
            data.load("untested", data_dir=root)

    def test_no_class_label(self, tmp_path):
        root = prepared(tmp_path, "regression", LABEL=tfds.features.Scalar(np.int64))
        with pytest.raises(SparseBNNError, match=r"label: Scalar .dataset regression"):
            data.load("regression", data_dir=root)

    def test_damaged_file(self, tmp_path):
        root = prepared(tmp_path, "damaged")
        (record,) = root.glob("damaged/*/*train*")
        content = bytearray(record.read_bytes())
        content[len(content) // 2] ^= 0xFF
        record.write_bytes(content)
        with pytest.raises(SparseBNNError, match="40 readable pictures in split train"):
            data.load("damaged", data_dir=root)

    def test_truncated_file(self, tmp_path):
        root = prepared(tmp_path, "short")
        (record,) = root.glob("short/*/*test*")
        record.write_bytes(record.read_bytes()[:-20])
        with pytest.raises(SparseBNNError, match="10 readable pictures in split test"):
            data.load("short", data_dir=root)

    @pytest.mark.parametrize("content", ["{", "[]", '{"name": 3}'])
    def test_damaged_metadata(self, tmp_path, content):
        root = prepared(tmp_path, "garbled")
        (info,) = root.glob("garbled/*/dataset_info.json")
        info.write_text(content)
        with pytest.raises(SparseBNNError, match="garbled"):
            data.load("garbled", data_dir=root)

    def test_unknown_name(self, tmp_path):
        prepared(tmp_path, "colours")
        with pytest.raises(SparseBNNError, match=r"no such name, and .* has colours") as caught:
            data.load("nope", data_dir=tmp_path)
        assert "\n" not in str(caught.value)

    def test_known_but_not_prepared_is_not_downloaded(self, tmp_path, monkeypatch):
        def refuse(*args, **kwargs):
            raise AssertionError("tried to download")

        monkeypatch.setattr(
            tfds.core.DatasetBuilder, "download_and_prepare", refuse, raising=True
        )
        with pytest.raises(
            SparseBNNError, match=r"mnist prepared in .*, found nothing\. .*--down"
        ):
            data.load("mnist", data_dir=tmp_path)

    def test_no_such_folder(self, tmp_path):
        with pytest.raises(SparseBNNError, match=r"mnist in .*/absent, but no such folder"):
            data.load("mnist", data_dir=tmp_path / "absent")

    @pytest.mark.parametrize(
        "name", ["", "../x", "/etc", "huggingface:mnist", "a b", "A", "x\n"]
    )
    def test_names_that_are_none(self, name):
        with pytest.raises(SparseBNNError, match='Expected "digits" or a TFDS name'):
            data.load(name)

    @pytest.mark.parametrize("image_size", [0, 3, 1025])
    def test_image_size_out_of_range(self, image_size):
        with pytest.raises(SparseBNNError, match=r"`image_size` in \[4, 1024\], got"):
            data.load("digits", image_size=image_size)


@needs_fashion_mnist
class TestFashionMNIST:
    def test_is_all_there(self, fashion):
        assert (fashion.input_shape, fashion.classes) == ((28, 28, 1), 10)
        pictures, labels = arrays(fashion.test(500))
        assert pictures.shape == (10_000, 28, 28, 1)
        np.testing.assert_array_equal(np.bincount(labels), [1000] * 10)
        assert fashion.train_size == 60_000
        assert (pictures.min(), pictures.max()) == (-1, 1)

    def test_streaming_gives_the_same_pictures(self, fashion):
        streamed = data.load("fashion_mnist", data_dir=_TFDS, memory_limit=0)
        ours = next(iter(fashion.test(300)))
        theirs = next(iter(streamed.test(300)))
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])

    def test_a_copy_without_its_records(self, tmp_path):
        shutil.copytree(
            _TFDS / "fashion_mnist", tmp_path / "fashion_mnist",
            ignore=shutil.ignore_patterns("*.tfrecord*"),
        )  # fmt: skip
        with pytest.raises(SparseBNNError, match="fashion_mnist"):
            data.load("fashion_mnist", data_dir=tmp_path)


def test_batches_have_static_shapes(digits):
    pictures, labels = digits.train(0, 0, 64).element_spec
    assert pictures == tf.TensorSpec([64, 8, 8, 1], tf.float32)
    assert labels == tf.TensorSpec([64], tf.int64)
