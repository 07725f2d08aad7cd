"""CIFAR-10's own binary files, and what is said of damaged ones."""

from __future__ import annotations

import shutil
import tarfile

import numpy as np
import pytest

from keras_sparsebnn import data
from keras_sparsebnn.data import cifar10
from keras_sparsebnn.errors import SparseBNNError
from tests.unit.data.batches import arrays


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """Six files of eight records each: (folder, images, labels), the test file last."""
    folder = tmp_path_factory.mktemp("cifar") / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (48, 32, 32, 3), np.uint8)
    labels = np.arange(48) % 10
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for index, name in enumerate(names):
        with (folder / name).open("wb") as file:
            for i in range(8 * index, 8 * index + 8):
                file.write(bytes([labels[i]]))
                for channel in range(3):
                    file.write(images[i, :, :, channel].tobytes())
    return folder, images, labels


class TestCIFAR10:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch):
        monkeypatch.setattr(cifar10, "RECORDS", 8)

    def check(self, dataset, images, labels):
        assert (dataset.train_size, dataset.test_size) == (40, 8)
        assert (dataset.input_shape, dataset.classes) == ((32, 32, 3), 10)
        raw, found = arrays(dataset.test(8))
        np.testing.assert_array_equal(np.round((raw + 1) * 127.5), images[40:])
        np.testing.assert_array_equal(found, labels[40:])
        np.testing.assert_array_equal(np.asarray(dataset._train.images), images[:40])

    def test_folder(self, cifar):
        folder, images, labels = cifar
        for place in (folder, folder.parent):
            self.check(data.load("cifar10", data_dir=place), images, labels)

    def test_archive(self, cifar, tmp_path):
        folder, images, labels = cifar
        path = tmp_path / "cifar-10-binary.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(folder, "cifar-10-batches-bin")
        for place in (path, tmp_path):
            self.check(data.load("cifar10", data_dir=place), images, labels)

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
