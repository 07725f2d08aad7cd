"""Prepared TFDS data sets: what is read, and what is said when they cannot be had."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from keras_sparsebnn import data
from keras_sparsebnn.errors import SparseBNNError
from tests.unit.data.batches import arrays

tfds = pytest.importorskip("tensorflow_datasets")


_TFDS = Path(
    os.environ.get("KERAS_SPARSEBNN_TFDS")
    or Path(__file__).resolve().parents[3].parent / "shared" / "tfds"
)


needs_fashion_mnist = pytest.mark.skipif(
    not (_TFDS / "fashion_mnist").is_dir(),
    reason=f"no Fashion-MNIST in {_TFDS}; set KERAS_SPARSEBNN_TFDS to a folder that has it",
)


@pytest.fixture(scope="module")
def fashion() -> data.Dataset:
    return data.load("fashion_mnist", data_dir=_TFDS)


class _Synthetic(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Images of a known colour, written in TFDS's own format, without any download."""

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
            pixels = np.full((height, width, self.SHAPE[2]), i * scale, self.DTYPE)
            values = (pixels, -1 if split in self.HIDDEN else i % 3)
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
    def test_cifar10_prepared_by_tfds(self, tmp_path):
        version = tfds.builder_cls("cifar10").VERSION
        root = prepared(tmp_path, "cifar10", SHAPE=(32, 32, 3), VERSION=version)
        dataset = data.load("cifar10", data_dir=root)
        assert (dataset.train_size, dataset.input_shape) == (40, (32, 32, 3))

    @pytest.mark.parametrize("memory_limit", [0, 1 << 20])
    def test_rgb(self, tmp_path, memory_limit):
        root = prepared(tmp_path, "colours")
        dataset = data.load("colours", data_dir=root, memory_limit=memory_limit)
        assert (dataset.input_shape, dataset.classes) == ((6, 5, 3), 3)
        assert (dataset.train_size, dataset.test_size) == (40, 10)
        images, labels = arrays(dataset.train(0, 0, 8))
        values = np.round((images[:, 0, 0, 0] + 1) * 127.5).astype(int)
        assert sorted(values) == list(range(40))
        np.testing.assert_array_equal(labels, values % 3)
        assert list(values) != list(range(40))

    @pytest.mark.parametrize("augmentation", ["none", "shift"])
    def test_streaming_skips_and_repeats_exactly(self, tmp_path, augmentation):
        root = prepared(tmp_path, "streamed")
        dataset = data.load(
            "streamed", data_dir=root, memory_limit=0, augmentation=augmentation
        )
        images, labels = arrays(dataset.train(1, 2, 8))
        rest, rest_labels = arrays(dataset.train(1, 2, 8, skip=3))
        np.testing.assert_array_equal(rest, images[24:])
        np.testing.assert_array_equal(rest_labels, labels[24:])
        assert not np.array_equal(labels, arrays(dataset.train(2, 2, 8))[1])

    def test_sizes_that_vary_need_an_image_size(self, tmp_path):
        root = prepared(tmp_path, "ragged", SHAPE=(None, None, 1))
        with pytest.raises(SparseBNNError, match=r"ragged vary.*--image-size 64"):
            data.load("ragged", data_dir=root)
        dataset = data.load("ragged", data_dir=root, image_size=8)
        images, _ = arrays(dataset.train(0, 0, 8))
        assert images.shape == (40, 8, 8, 1)
        assert len(np.unique(images)) == 40  # one-coloured images stay so

    def test_crops_of_sizes_that_vary_stream_and_resume(self, tmp_path):
        """What imagenet2012 needs: whole images in training, the centre in testing."""
        root = prepared(tmp_path, "photos", SHAPE=(None, None, 3))
        dataset = data.load(
            "photos", data_dir=root, image_size=8, augmentation="resized_crop_lighting"
        )
        images, labels = arrays(dataset.train(0, 0, 8))
        assert images.shape == (40, 8, 8, 3)
        np.testing.assert_array_equal(arrays(dataset.train(0, 0, 8, 3))[0], images[24:])
        halves = [
            arrays(dataset.train(0, 0, 8, 3, worker=w, workers=2, replicas=2)) for w in (0, 1)
        ]
        shares = np.concatenate([part.reshape(2, 4) for _, part in halves], 1)
        np.testing.assert_array_equal(shares.reshape(-1), labels[24:])
        # One-coloured images show nothing but the lighting.
        assert np.std(images, axis=(1, 2)).max() < 1e-4
        tested, _ = arrays(dataset.test(10))
        values = np.sort(tested[:, 0, 0, 0])
        np.testing.assert_allclose(values, np.arange(10) / 127.5 - 1, atol=1e-6)

    def test_sixteen_bit_images(self, tmp_path):
        root = prepared(tmp_path, "deep", DTYPE=np.uint16, SHAPE=(6, 5, 1))
        images, _ = arrays(data.load("deep", data_dir=root).test(10))
        values = np.sort(images[:, 0, 0, 0])
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
        images, labels = arrays(fashion.test(500))
        assert images.shape == (10_000, 28, 28, 1)
        np.testing.assert_array_equal(np.bincount(labels), [1000] * 10)
        assert fashion.train_size == 60_000
        assert (images.min(), images.max()) == (-1, 1)

    def test_streaming_gives_the_same_images(self, fashion):
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
