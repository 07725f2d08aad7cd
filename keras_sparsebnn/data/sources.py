"""Where images come from: scikit-learn's digits, CIFAR-10's own files, noise, or TFDS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

from keras_sparsebnn.data import cifar10, digits
from keras_sparsebnn.data.dataset import Dataset
from keras_sparsebnn.data.options import AUGMENTATIONS, IMAGE_SIZES, RESIZED_CROPS
from keras_sparsebnn.data.splits import MemorySplit, held_out_count, on_cpu, resize
from keras_sparsebnn.data.synthetic import CLASSES as SYNTHETIC_CLASSES
from keras_sparsebnn.data.synthetic import SyntheticSplit
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["load"]

MEMORY_LIMIT = 1 << 30  # bytes of decoded uint8 images

_SYNTHETIC = re.compile(r"synthetic(?:/(\d{1,7}))?")
# name[/config][:version]; no namespaces, which would load code from elsewhere.
_NAME = re.compile(r"[a-z][a-z0-9_]*(/[\w.-]+)?(:\d+\.\d+\.\d+)?")


def load(
    name: str,
    *,
    data_dir: str | Path | None = None,
    image_size: int | None = None,
    augmentation: str = "none",
    holdout: float | None = None,
    download: bool = False,
    memory_limit: int = MEMORY_LIMIT,
) -> Dataset:
    """The dataset of that name.

    Args:
        name: "digits" (1797 images of 8x8, bundled with scikit-learn, every fifth of each
            class for testing); "synthetic[/COUNT]" (noise in 1000 classes, 224x224, to try out
            a machine); or a TFDS dataset with an image and a class label,
            `name[/config][:version]`, tested on its `test` split, or on `validation` if there
            is no labelled `test`. "cifar10" may also lie in its own binary format.
        data_dir: where TFDS datasets lie prepared, TFDS's own default if None; or the folder
            with CIFAR-10's `data_batch_*.bin` or its archive.
        image_size: resize images to this many pixels a side; needed if sizes vary. Images
            are squeezed, but with a `resized_crop` keep their aspect and are cropped.
        augmentation: one of `AUGMENTATIONS`.
        holdout: the fraction of the training split, in (0, 1), that is taken out of it, from
            its end in stored order, to be the test split. Data sets with a training split
            only need it; others keep their own test split for later with it.
        download: fetch and prepare a TFDS dataset that is not there. Nothing is ever
            downloaded otherwise.
        memory_limit: datasets that take at most that many bytes decoded are kept in memory.

    Raises:
        SparseBNNError: the dataset cannot be had or is no image-classification dataset.

    Example:
        >>> digits = load("digits")
        >>> digits.input_shape, digits.classes, digits.train_size, digits.test_size
        ((8, 8, 1), 10, 1442, 355)
    """
    if augmentation not in AUGMENTATIONS:
        raise SparseBNNError(
            f"Expected `augmentation` to be one of {', '.join(AUGMENTATIONS)}, "
            f"got {augmentation!r}."
        )
    if image_size is not None and not IMAGE_SIZES[0] <= image_size <= IMAGE_SIZES[1]:
        raise SparseBNNError(
            f"Expected `image_size` in [{IMAGE_SIZES[0]}, {IMAGE_SIZES[1]}], got {image_size}."
        )
    if holdout is not None and not 0 < holdout < 1:
        raise SparseBNNError(f"Expected `holdout` in (0, 1), got {holdout}.")
    options = (image_size, augmentation, holdout)
    if name == "digits":
        return _in_memory(name, digits.read(), digits.CLASSES, digits.HALF_RANGE, *options)
    synthetic = _SYNTHETIC.fullmatch(name)
    if synthetic:
        return _synthetic(
            name, int(synthetic[1] or 256), image_size or 224, augmentation, holdout
        )
    if not _NAME.fullmatch(name):
        raise SparseBNNError(
            'Expected "digits", "synthetic" or a TFDS name like fashion_mnist or '
            f"name/config:1.0.0, got {name!r}."
        )
    if name == "cifar10" and data_dir is not None:
        found = cifar10.find(Path(data_dir).expanduser())
        if found is not None:
            return _in_memory(name, cifar10.read(found), cifar10.CLASSES, 127.5, *options)
    from keras_sparsebnn.data.tfds import read_tfds

    shape, classes, train, test = read_tfds(
        name,
        data_dir,
        image_size,
        download,
        memory_limit,
        crops=augmentation in RESIZED_CROPS,
        holdout=holdout,
    )
    return Dataset(name, shape, classes, 127.5, augmentation, train, test)


def _in_memory(
    name: str,
    splits: tuple[tuple[Any, Any], tuple[Any, Any]],
    classes: int,
    half_range: float,
    image_size: int | None,
    augmentation: str,
    holdout: float | None,
) -> Dataset:
    """A dataset of images and labels that are in memory."""
    train, test = (
        MemorySplit(
            on_cpu(images if image_size is None else resize(images, image_size).numpy()),
            on_cpu(labels),
        )
        for images, labels in splits
    )
    train, test = _held_out(name, holdout, train, test)
    shape = tuple(train.images.shape[1:])
    return Dataset(name, shape, classes, half_range, augmentation, train, test)


def _synthetic(
    name: str, count: int, image_size: int, augmentation: str, holdout: float | None
) -> Dataset:
    if count < 1:
        raise SparseBNNError(f"Expected at least one image, got {name}.")
    shape = (image_size, image_size, 3)
    train = SyntheticSplit(count, image_size, 0)
    test = SyntheticSplit(max(1, count // 4), image_size, count)
    train, test = _held_out(name, holdout, train, test)
    return Dataset(name, shape, SYNTHETIC_CLASSES, 127.5, augmentation, train, test)


_Split = TypeVar("_Split", MemorySplit, SyntheticSplit)


def _held_out(
    name: str, holdout: float | None, train: _Split, test: _Split
) -> tuple[_Split, _Split]:
    """The splits as they are, or the training split in two parts."""
    if holdout is None:
        return train, test
    return train.parted(held_out_count(name, train.size, holdout))
