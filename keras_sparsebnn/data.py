"""Pictures to train on: scikit-learn's digits, or any TFDS image-classification dataset.

The order of the training pictures is a pure function of (seed, epoch), and augmentation one of
(seed, epoch, position), so a run that was cut off goes on with exactly the next batch. Small
datasets are decoded once into memory; larger ones stream, and only a shuffle buffer is kept.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import tf
from keras_sparsebnn.dataset_splits import MemorySplit, Split, on_cpu, resize
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["AUGMENTATIONS", "Dataset", "load"]

AUGMENTATIONS = ("none", "shift", "flip_shift")
"""`shift`: by up to 1/8 of height and width, edges repeated. `flip_shift`: mirrored, too."""

MEMORY_LIMIT = 1 << 30  # bytes of decoded uint8 pictures
IMAGE_SIZES = (4, 1024)

# name[/config][:version]; no namespaces, which would load code from elsewhere.
_NAME = re.compile(r"[a-z][a-z0-9_]*(/[\w.-]+)?(:\d+\.\d+\.\d+)?")


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Pictures with labels, in a training and a test split.

    Attributes:
        name: as given to `load`.
        input_shape: height, width, channels.
        classes: how many.
        half_range: pixel values are `raw / half_range - 1`, so in [-1, 1].
        augmentation: one of `AUGMENTATIONS`, applied in training only.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    half_range: float
    augmentation: str
    _train: Split
    _test: Split

    @property
    def train_size(self) -> int:
        """Pictures in the training split."""
        return self._train.size

    @property
    def test_size(self) -> int:
        """Pictures in the test split."""
        return self._test.size

    def steps(self, batch_size: int) -> int:
        """Batches an epoch; pictures that do not fill one sit out the epoch.

        Raises:
            SparseBNNError: not one batch can be filled.
        """
        if not 1 <= batch_size <= self.train_size:
            raise SparseBNNError(
                f"Expected a batch size in [1, {self.train_size}], got {batch_size} "
                f"(dataset {self.name})."
            )
        return self.train_size // batch_size

    def train(self, epoch: int, seed: int, batch_size: int, skip: int = 0) -> Any:
        """One epoch of training batches, without the first `skip`: a `tf.data.Dataset`.

        Shape:
            -> `([batch_size, H, W, C]` float32 in [-1, 1], `[batch_size]` int64`)`.

        Raises:
            SparseBNNError: not one batch can be filled.
        """
        batches = self.steps(batch_size) - skip
        raw = self._train.batches((seed, epoch), batch_size, skip).take(batches)
        if self.augmentation != "none":
            drawn = self._draw_augmentation(epoch, seed)[skip * batch_size :]
            draws = tf.data.Dataset.from_tensor_slices(drawn).batch(batch_size)
            raw = tf.data.Dataset.zip((raw, draws)).map(
                lambda batch, draw: (_augment(batch[0], draw), batch[1])
            )
        return self._finish(raw, batch_size)

    def test(self, batch_size: int) -> Any:
        """The test split in stored order, all of it: a `tf.data.Dataset`."""
        return self._finish(self._test.batches(None, batch_size, 0), None)

    def _draw_augmentation(self, epoch: int, seed: int) -> npt.NDArray[np.int32]:
        """`[N, 3]`: shift down, shift right, mirrored or not, by position in the epoch."""
        rng = np.random.default_rng((seed, epoch, 1))
        height, width, _ = self.input_shape
        vertical = rng.integers(-(height // 8), height // 8 + 1, self.train_size)
        horizontal = rng.integers(-(width // 8), width // 8 + 1, self.train_size)
        mirrored = rng.integers(0, 2, self.train_size) * (self.augmentation == "flip_shift")
        drawn: npt.NDArray[np.int32] = np.stack([vertical, horizontal, mirrored], 1)
        return drawn.astype(np.int32)

    def _finish(self, raw: Any, batch_size: int | None) -> Any:
        def scale(pictures: Any, labels: Any) -> tuple[Any, Any]:
            pictures = tf.cast(pictures, tf.float32) / self.half_range - 1.0
            pictures = tf.ensure_shape(pictures, [batch_size, *self.input_shape])
            return pictures, tf.ensure_shape(tf.cast(labels, tf.int64), [batch_size])

        options = tf.data.Options()
        options.deterministic = True
        return raw.map(scale).prefetch(2).with_options(options)


def _augment(pictures: Any, draws: Any) -> Any:
    """Shifts with repeated edges and mirrors, as one gather along each axis."""
    height, width = pictures.shape[1], pictures.shape[2]
    rows = tf.clip_by_value(tf.range(height) - draws[:, :1], 0, height - 1)
    columns = tf.clip_by_value(tf.range(width) - draws[:, 1:2], 0, width - 1)
    columns = tf.where(draws[:, 2:] > 0, width - 1 - columns, columns)
    pictures = tf.gather(pictures, rows, axis=1, batch_dims=1)
    return tf.gather(pictures, columns, axis=2, batch_dims=1)


def load(
    name: str,
    *,
    data_dir: str | Path | None = None,
    image_size: int | None = None,
    augmentation: str = "none",
    download: bool = False,
    memory_limit: int = MEMORY_LIMIT,
) -> Dataset:
    """The dataset of that name.

    Args:
        name: "digits" (1797 pictures of 8x8, bundled with scikit-learn, every fifth of each
            class for testing), or a TFDS dataset with an image and a class label:
            `name[/config][:version]`. It is tested on its `test` split, or on `validation` if
            there is no labelled `test`.
        data_dir: where TFDS datasets lie prepared; TFDS's own default if None.
        image_size: resize pictures to this many pixels a side; needed if sizes vary.
        augmentation: one of `AUGMENTATIONS`.
        download: fetch and prepare a TFDS dataset that is not there. Nothing is ever
            downloaded otherwise.
        memory_limit: datasets of at most so many bytes decoded are kept in memory.

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
    if name == "digits":
        return _load_digits(image_size, augmentation)
    if not _NAME.fullmatch(name):
        raise SparseBNNError(
            f'Expected "digits" or a TFDS name like fashion_mnist or name/config:1.0.0, '
            f"got {name!r}."
        )
    from keras_sparsebnn.tfds_images import read_tfds

    shape, classes, train, test = read_tfds(name, data_dir, image_size, download, memory_limit)
    return Dataset(name, shape, classes, 127.5, augmentation, train, test)


def _load_digits(image_size: int | None, augmentation: str) -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise SparseBNNError(
            "Expected scikit-learn, which brings the digits, found none. "
            "Run: pip install 'keras-sparsebnn[train]'"
        ) from error
    bunch = load_digits()
    pictures = bunch.images.astype(np.uint8)[..., np.newaxis]  # 0..16
    labels = bunch.target.astype(np.int64)
    rank_in_class = np.zeros_like(labels)
    for label in range(10):
        rank_in_class[labels == label] = np.arange(np.sum(labels == label))
    held_out = rank_in_class % 5 == 4
    if image_size is not None:
        pictures = resize(pictures, image_size).numpy()
    train, test = (
        MemorySplit(on_cpu(pictures[chosen]), on_cpu(labels[chosen]))
        for chosen in (~held_out, held_out)
    )
    return Dataset("digits", pictures.shape[1:], 10, 8.0, augmentation, train, test)
