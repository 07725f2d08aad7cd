"""Datasets: what they hold, in which order, and what is said when they cannot be had."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tarfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from keras_sparsebnn import data
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.data import cifar10
from keras_sparsebnn.errors import SparseBNNError

tfds = pytest.importorskip("tensorflow_datasets")

_TFDS = Path(
    os.environ.get("KERAS_SPARSEBNN_TFDS")
    or Path(__file__).resolve().parents[3].parent / "shared" / "tfds"
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
        stored = np.asarray(digits._train.images, np.float32) - 1
        order = np.lexsort(pictures.reshape(len(pictures), -1).T)
        expected = np.lexsort(stored.reshape(len(stored), -1).T)
        np.testing.assert_array_equal(pictures[order], stored[expected])

    def test_resize(self):
        pictures, _ = arrays(data.load("digits", image_size=12).test(64))
        assert pictures.shape[1:] == (12, 12, 1)


class TestOrder:
    @pytest.mark.parametrize("augmentation", data.AUGMENTATIONS)
    @pytest.mark.parametrize("skip", [1, 13])
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


class TestWorkers:
    @pytest.mark.parametrize("augmentation", ["none", "crop_flip", "resized_crop"])
    def test_share_each_batch(self, digits, augmentation):
        dataset = dataclasses.replace(digits, augmentation=augmentation)
        pictures, labels = arrays(dataset.train(1, 0, 12, skip=60))
        parts = [
            arrays(dataset.train(1, 0, 12, skip=60, worker=w, workers=2, replicas=4))
            for w in range(2)
        ]
        steps = len(labels) // 12
        together = np.concatenate(
            [part.reshape(steps, 6, *part.shape[1:]) for part, _ in parts], 1
        )
        np.testing.assert_array_equal(together.reshape(pictures.shape), pictures)
        (batch, *_) = dataset.train(1, 0, 12, worker=0, workers=2, replicas=4)
        assert batch[0].shape[0] == 3

    def test_cannot_share_a_batch(self, digits):
        with pytest.raises(SparseBNNError, match="that 4 replicas can share equally, got 30"):
            digits.train(0, 0, 30, workers=2, replicas=4)


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


class TestSynthetic:
    def test_pictures(self):
        dataset = data.load("synthetic/64", image_size=32)
        assert (dataset.input_shape, dataset.classes) == ((32, 32, 3), 1000)
        assert (dataset.train_size, dataset.test_size) == (64, 16)
        pictures, labels = arrays(dataset.train(0, 0, 8))
        assert len(np.unique(labels)) == 64
        # The mean colour tells the class.
        raw = (pictures.mean(axis=(1, 2)) + 1) * 127.5
        digits = np.stack([labels // 100, labels // 10 % 10, labels % 10], -1)
        np.testing.assert_allclose(raw, digits * 20 + 20, atol=3)

    def test_resuming(self):
        dataset = data.load("synthetic/64", image_size=16, augmentation="resized_crop")
        whole, rest = (arrays(dataset.train(2, 1, 8, skip))[0] for skip in (0, 5))
        np.testing.assert_array_equal(rest, whole[40:])

    def test_no_picture(self):
        with pytest.raises(SparseBNNError, match="at least one image, got synthetic/0"):
            data.load("synthetic/0")


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """Six files of eight records each: (folder, pictures, labels), the test file last."""
    folder = tmp_path_factory.mktemp("cifar") / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (48, 32, 32, 3), np.uint8)
    labels = np.arange(48) % 10
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for index, name in enumerate(names):
        with (folder / name).open("wb") as file:
            for i in range(8 * index, 8 * index + 8):
                file.write(bytes([labels[i]]))
                for channel in range(3):
                    file.write(pictures[i, :, :, channel].tobytes())
    return folder, pictures, labels


class TestCIFAR10:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch):
        monkeypatch.setattr(cifar10, "RECORDS", 8)

    def check(self, dataset, pictures, labels):
        assert (dataset.train_size, dataset.test_size) == (40, 8)
        assert (dataset.input_shape, dataset.classes) == ((32, 32, 3), 10)
        raw, found = arrays(dataset.test(8))
        np.testing.assert_array_equal(np.round((raw + 1) * 127.5), pictures[40:])
        np.testing.assert_array_equal(found, labels[40:])
        np.testing.assert_array_equal(np.asarray(dataset._train.images), pictures[:40])

    def test_folder(self, cifar):
        folder, pictures, labels = cifar
        for place in (folder, folder.parent):
            self.check(data.load("cifar10", data_dir=place), pictures, labels)

    def test_archive(self, cifar, tmp_path):
        folder, pictures, labels = cifar
        path = tmp_path / "cifar-10-binary.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(folder, "cifar-10-batches-bin")
        for place in (path, tmp_path):
            self.check(data.load("cifar10", data_dir=place), pictures, labels)

    def test_image_size(self, cifar):
        dataset = data.load("cifar10", data_dir=cifar[0], image_size=16)
        assert dataset.input_shape == (16, 16, 3)
        assert arrays(dataset.test(8))[0].shape == (8, 16, 16, 3)

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda f: (f / "test_batch.bin").unlink(), "Expected test_batch.bin and"),
            (lambda f: (f / "data_batch_2.bin").write_bytes(b"x"), "24584 bytes.*got 1 .*_2"),
            (
                lambda f: (f / "data_batch_3.bin").write_bytes(bytes([10]) * 24584),
                "labels below 10, got 10 .*data_batch_3",
            ),
        ],
    )
    def test_damaged(self, cifar, tmp_path, damage, message):
        folder = tmp_path / "damaged"
        shutil.copytree(cifar[0], folder)
        damage(folder)
        with pytest.raises(SparseBNNError, match=message):
            data.load("cifar10", data_dir=folder)

    @pytest.mark.parametrize("keep", [0, 10, 1000])
    def test_damaged_archive(self, cifar, tmp_path, keep):
        path = tmp_path / "cut.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(cifar[0], "x")
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(
            SparseBNNError, match=r"Expected .* of CIFAR-10, .*Get cifar-10-bin"
        ):
            data.load("cifar10", data_dir=path)

    def test_links_and_foreign_members_are_passed_over(self, tmp_path):
        path = tmp_path / "cifar-10-binary.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            link = tarfile.TarInfo("../data_batch_1.bin")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
            archive.addfile(link)
        with pytest.raises(SparseBNNError, match=r"Expected data_batch_1\.bin and five more"):
            data.load("cifar10", data_dir=tmp_path)

    def test_pickles_are_refused(self, tmp_path):
        (tmp_path / "cifar-10-batches-py").mkdir()
        with pytest.raises(SparseBNNError, match="binary version, got its Python version"):
            data.load("cifar10", data_dir=tmp_path)

    def test_tfds_form_on_disk(self, tmp_path):
        version = tfds.builder_cls("cifar10").VERSION
        root = prepared(tmp_path, "cifar10", SHAPE=(32, 32, 3), VERSION=version)
        dataset = data.load("cifar10", data_dir=root)
        assert (dataset.train_size, dataset.input_shape) == (40, (32, 32, 3))


class _Synthetic(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Pictures of a known colour, written in TFDS's own format, without any download."""

    VERSION = tfds.core.Version("1.0.0")
    SHAPE: tuple = (6, 5, 3)
    SPLITS: tuple = ("train", "test")
    HIDDEN: tuple = ()
    LABEL: object = None
    KEYS: tuple = ("image", "label")
    EXTRA: ClassVar[dict] = {}
    DTYPE = np.uint8

    def _info(self):
        label = self.LABEL or tfds.features.ClassLabel(num_classes=3)
        image = tfds.features.Image(shape=self.SHAPE, dtype=self.DTYPE)
        features = {**dict(zip(self.KEYS, (image, label), strict=True)), **self.EXTRA}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.SPLITS}

    def _generate_examples(self, split):
        count = 40 if split == "train" else 10
        for i in range(count):
            height, width = (self.SHAPE[0] or 4 + i % 5, self.SHAPE[1] or 9 - i % 5)
            scale = 257 if np.uint16 == self.DTYPE else 1
            picture = np.full((height, width, self.SHAPE[2]), i * scale, self.DTYPE)
            values = (picture, -1 if split in self.HIDDEN else i % 3)
            extra = dict.fromkeys(self.EXTRA, 0)
            yield i, {**dict(zip(self.KEYS, values, strict=True)), **extra}


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

    def test_crops_of_sizes_that_vary_stream_and_resume(self, tmp_path):
        """What imagenet2012 needs: whole pictures in training, the centre in testing."""
        root = prepared(tmp_path, "photos", SHAPE=(None, None, 3))
        dataset = data.load(
            "photos", data_dir=root, image_size=8, augmentation="resized_crop_lighting"
        )
        pictures, labels = arrays(dataset.train(0, 0, 8))
        assert pictures.shape == (40, 8, 8, 3)
        np.testing.assert_array_equal(arrays(dataset.train(0, 0, 8, 3))[0], pictures[24:])
        halves = [
            arrays(dataset.train(0, 0, 8, 3, worker=w, workers=2, replicas=2)) for w in (0, 1)
        ]
        shares = np.concatenate([part.reshape(2, 4) for _, part in halves], 1)
        np.testing.assert_array_equal(shares.reshape(-1), labels[24:])
        # One-coloured pictures show nothing but the lighting.
        assert np.std(pictures, axis=(1, 2)).max() < 1e-4
        tested, _ = arrays(dataset.test(10))
        values = np.sort(tested[:, 0, 0, 0])
        np.testing.assert_allclose(values, np.arange(10) / 127.5 - 1, atol=1e-6)

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
        with pytest.raises(
            SparseBNNError, match=r"splits train and test .*, got train .*--holdout 0\.1"
        ):
            data.load("untested", data_dir=root)
        for memory_limit in (0, 1 << 20):
            dataset = data.load(
                "untested", data_dir=root, memory_limit=memory_limit, holdout=0.2
            )
            assert (dataset.train_size, dataset.test_size) == (32, 8)
            parts = [dataset.train(0, 0, 1), dataset.test(3)]
            trained, tested = (
                set(np.round((arrays(part)[0][:, 0, 0, 0] + 1) * 127.5).astype(int))
                for part in parts
            )
            assert (len(trained), len(tested)) == (32, 8)
            assert trained | tested == set(range(40))

    def test_image_and_label_under_other_names(self, tmp_path):
        root = prepared(tmp_path, "renamed", KEYS=("photo", "species"))
        dataset = data.load("renamed", data_dir=root)
        values, labels = arrays(dataset.test(10))
        values = np.round((values[:, 0, 0, 0] + 1) * 127.5).astype(int)
        np.testing.assert_array_equal(labels, values % 3)

    def test_two_class_labels_are_one_line(self, tmp_path):
        extra = {"coarse": tfds.features.ClassLabel(num_classes=2)}
        root = prepared(tmp_path, "twofold", KEYS=("photo", "fine"), EXTRA=extra)
        with pytest.raises(SparseBNNError, match="coarse: ClassLabel, fine: ClassLabel, photo"):
            data.load("twofold", data_dir=root)

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
        with pytest.raises(SparseBNNError, match="40 readable images in split train"):
            data.load("damaged", data_dir=root)

    def test_truncated_file(self, tmp_path):
        root = prepared(tmp_path, "short")
        (record,) = root.glob("short/*/*test*")
        record.write_bytes(record.read_bytes()[:-20])
        with pytest.raises(SparseBNNError, match="10 readable images in split test"):
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
        with pytest.raises(
            SparseBNNError, match='Expected "digits", "synthetic" or a TFDS name'
        ):
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
