"""Pictures to train on: bundled digits, CIFAR-10's own files, or any TFDS dataset.

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

from keras_sparsebnn._keras import tf
from keras_sparsebnn.data import cifar10
from keras_sparsebnn.data.augmentation import (
    AUGMENTATIONS,
    RESIZED_CROPS,
    crop_and_flip,
    draw_offsets,
    random_resized_crop,
    shift_and_flip,
)
from keras_sparsebnn.data.splits import Edit, MemorySplit, Portion, Split, on_cpu, resize
from keras_sparsebnn.data.synthetic import CLASSES as SYNTHETIC_CLASSES
from keras_sparsebnn.data.synthetic import SyntheticSplit
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["AUGMENTATIONS", "Dataset", "load"]

MEMORY_LIMIT = 1 << 30  # bytes of decoded uint8 pictures
IMAGE_SIZES = (4, 1024)

# name[/config][:version]; no namespaces, which would load code from elsewhere.
_SYNTHETIC = re.compile(r"synthetic(?:/(\d{1,7}))?")
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

    def train(
        self,
        epoch: int,
        seed: int,
        batch_size: int,
        skip: int = 0,
        *,
        worker: int = 0,
        workers: int = 1,
        replicas: int = 1,
    ) -> Any:
        """One epoch of training batches, without the first `skip`: a `tf.data.Dataset`.

        Args:
            epoch: decides the order and the augmentation, together with the seed.
            seed: see `epoch`.
            batch_size: of all workers and replicas together.
            skip: batches to leave out, because they were trained on already.
            worker: which of the workers this is: it reads its slice of each batch.
            workers: how many there are.
            replicas: of all workers together; each gets `batch_size / replicas` pictures.

        Shape:
            -> `([batch_size / replicas, H, W, C]` float32 in [-1, 1], `[...]` int64`)`.

        Raises:
            SparseBNNError: not one batch can be filled, or it does not divide among replicas.
        """
        steps = self.steps(batch_size)
        if batch_size % replicas or replicas % workers:
            raise SparseBNNError(
                f"Expected a batch size that {replicas} replicas can share equally, got "
                f"{batch_size}. Use a multiple of {replicas}."
            )
        share = batch_size // workers
        portion = Portion(
            seed, epoch, skip, steps, batch_size, worker * share, (worker + 1) * share
        )
        local = batch_size // replicas
        edit = self._edit(portion) if self.augmentation in RESIZED_CROPS else None
        raw = self._train.batches(portion, local, edit)
        if edit is None and self.augmentation != "none":
            shape, count = self.input_shape, self.train_size
            offsets = draw_offsets(self.augmentation, seed, epoch, shape, count)
            drawn = offsets[portion.positions()]
            draws = tf.data.Dataset.from_tensor_slices(drawn).batch(local)
            cropped = self.augmentation in ("crop", "crop_flip")
            augment = crop_and_flip if cropped else shift_and_flip
            raw = tf.data.Dataset.zip((raw, draws)).map(
                lambda batch, draw: (augment(batch[0], draw), batch[1])
            )
        return self._finish(raw, local)

    def test(self, batch_size: int) -> Any:
        """The test split in stored order, all of it: a `tf.data.Dataset`."""
        return self._finish(self._test.batches(None, batch_size, None), None)

    def _edit(self, portion: Portion) -> Edit:
        key = np.random.SeedSequence((*portion.key, 2)).generate_state(1)[0] >> 1
        lighting = self.augmentation == "resized_crop_lighting"

        def edit(picture: Any, position: Any) -> Any:
            seed = tf.stack([tf.constant(int(key), tf.int64), tf.cast(position, tf.int64)])
            return random_resized_crop(picture, seed, self.input_shape, lighting=lighting)

        return edit

    def _finish(self, raw: Any, batch_size: int | None) -> Any:
        def scale(pictures: Any, labels: Any) -> tuple[Any, Any]:
            pictures = tf.cast(pictures, tf.float32) / self.half_range - 1.0
            pictures = tf.ensure_shape(pictures, [batch_size, *self.input_shape])
            return pictures, tf.ensure_shape(tf.cast(labels, tf.int64), [batch_size])

        options = tf.data.Options()
        options.deterministic = True
        # Where a strategy splits it after all, by pictures: there may be only one file.
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return raw.map(scale).prefetch(2).with_options(options)


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
            class for testing); "synthetic[/COUNT]" (noise in 1000 classes, 224x224, to try out
            a machine); or a TFDS dataset with an image and a class label,
            `name[/config][:version]`, tested on its `test` split, or on `validation` if there
            is no labelled `test`. "cifar10" may also lie in its own binary format.
        data_dir: where TFDS datasets lie prepared, TFDS's own default if None; or the folder
            with CIFAR-10's `data_batch_*.bin` or its archive.
        image_size: resize pictures to this many pixels a side; needed if sizes vary. Pictures
            are squeezed, but with a `resized_crop` keep their aspect and are cropped.
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
    synthetic = _SYNTHETIC.fullmatch(name)
    if synthetic:
        return _synthetic(name, int(synthetic[1] or 256), image_size or 224, augmentation)
    if not _NAME.fullmatch(name):
        raise SparseBNNError(
            'Expected "digits", "synthetic" or a TFDS name like fashion_mnist or '
            f"name/config:1.0.0, got {name!r}."
        )
    if name == "cifar10" and data_dir is not None:
        found = cifar10.find(Path(data_dir).expanduser())
        if found is not None:
            return _load_cifar10(found, image_size, augmentation)
    from keras_sparsebnn.data.tfds import read_tfds

    shape, classes, train, test = read_tfds(
        name,
        data_dir,
        image_size,
        download,
        memory_limit,
        crops=augmentation in RESIZED_CROPS,
    )
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


def _load_cifar10(path: Path, image_size: int | None, augmentation: str) -> Dataset:
    splits = [
        MemorySplit(
            on_cpu(pictures if image_size is None else resize(pictures, image_size).numpy()),
            on_cpu(labels),
        )
        for pictures, labels in cifar10.read(path)
    ]
    shape = tuple(splits[0].pictures.shape[1:])
    return Dataset("cifar10", shape, cifar10.CLASSES, 127.5, augmentation, *splits)


def _synthetic(name: str, count: int, image_size: int, augmentation: str) -> Dataset:
    if count < 1:
        raise SparseBNNError(f"Expected at least one picture, got {name}.")
    shape = (image_size, image_size, 3)
    train = SyntheticSplit(count, image_size, 0)
    test = SyntheticSplit(max(1, count // 4), image_size, count)
    return Dataset(name, shape, SYNTHETIC_CLASSES, 127.5, augmentation, train, test)
