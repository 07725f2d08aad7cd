"""Pictures to train on: scikit-learn's digits, or any TFDS image-classification dataset.

The order of the training pictures is a pure function of (seed, epoch), and augmentation one of
(seed, epoch, position), so a run that was cut off goes on with exactly the next batch. Small
datasets are decoded once into memory; larger ones stream, and only a shuffle buffer is kept.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import tf
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["AUGMENTATIONS", "Dataset", "load"]

AUGMENTATIONS = ("none", "shift", "flip_shift")
"""`shift`: by up to 1/8 of height and width, edges repeated. `flip_shift`: mirrored, too."""

MEMORY_LIMIT = 1 << 30  # bytes of decoded uint8 pictures
SHUFFLE_BUFFER = 128 << 20  # bytes of encoded pictures
IMAGE_SIZES = (4, 1024)

# name[/config][:version]; no namespaces, which would load code from elsewhere.
_NAME = re.compile(r"[a-z][a-z0-9_]*(/[\w.-]+)?(:\d+\.\d+\.\d+)?")


class _Split(Protocol):
    """One split: `(pictures, labels)` batches, undecoded to floats, in a given order."""

    size: int

    def batches(self, key: tuple[int, int] | None, batch_size: int, skip: int) -> Any:
        """In stored order if `key` is None, else shuffled by it; `skip` counts batches."""


@dataclasses.dataclass(frozen=True)
class _MemorySplit:
    pictures: Any  # uint8 [N, H, W, C]
    labels: Any  # int64 [N]

    @property
    def size(self) -> int:
        return int(self.labels.shape[0])

    def batches(self, key: tuple[int, int] | None, batch_size: int, skip: int) -> Any:
        order = np.arange(self.size)
        if key is not None:
            np.random.default_rng(key).shuffle(order)
        positions = tf.data.Dataset.from_tensor_slices(order[skip * batch_size :])
        return positions.batch(batch_size).map(
            lambda batch: (tf.gather(self.pictures, batch), tf.gather(self.labels, batch))
        )


@dataclasses.dataclass(frozen=True)
class _StreamedSplit:
    read: Callable[[int | None], Any]  # file-order seed -> (encoded picture, label)s
    decode: Callable[[Any], Any]  # -> uint8 [H, W, C]
    size: int
    encoded_bytes: int

    def batches(self, key: tuple[int, int] | None, batch_size: int, skip: int) -> Any:
        if key is None:
            examples = self.read(None)
        else:
            seed = int(np.random.SeedSequence(key).generate_state(1)[0] >> 1)
            mean_bytes = max(1, self.encoded_bytes // self.size)
            buffer = min(self.size, max(64, SHUFFLE_BUFFER // mean_bytes))
            # Still encoded: a buffer of them covers more pictures, and skipping is cheap.
            examples = self.read(seed).shuffle(buffer, seed, reshuffle_each_iteration=False)
        examples = examples.skip(skip * batch_size)
        examples = examples.map(
            lambda encoded, label: (self.decode(encoded), label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return examples.batch(batch_size)


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
    _train: _Split
    _test: _Split

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
        return np.stack([vertical, horizontal, mirrored], axis=1).astype(np.int32)

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
    return _load_tfds(name, data_dir, image_size, augmentation, download, memory_limit)


def _on_cpu(array: npt.NDArray[Any]) -> Any:
    with tf.device("CPU:0"):
        return tf.constant(array)


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
        pictures = _resize(pictures, image_size).numpy()
    splits = [
        _MemorySplit(_on_cpu(pictures[chosen]), _on_cpu(labels[chosen]))
        for chosen in (~held_out, held_out)
    ]
    return Dataset("digits", pictures.shape[1:], 10, 8.0, augmentation, *splits)


def _resize(pictures: Any, size: int) -> Any:
    resized = tf.image.resize(pictures, [size, size], antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)


def _builder(tfds: Any, name: str, data_dir: str | Path | None, download: bool) -> Any:
    """The builder of a dataset that lies prepared on this machine."""
    root = Path(data_dir) if data_dir is not None else Path(tfds.core.constants.DATA_DIR)
    root = root.expanduser()
    advice = "Give another --data-dir, or --download to fetch it."
    if not download and not root.is_dir():
        raise SparseBNNError(f"Expected dataset {name} in {root}, but no such folder. {advice}")
    there = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    listed = ", ".join(there[:8]) + (", ..." if len(there) > 8 else "") or "nothing"
    try:
        builder = tfds.builder(name, data_dir=str(root))
    except tfds.core.registered.DatasetNotFoundError as error:
        raise SparseBNNError(
            f"Expected a TFDS dataset, got {name}: TFDS knows no such name, and {root} has "
            f"{listed}. See https://www.tensorflow.org/datasets/catalog."
        ) from error
    except (ValueError, OSError, ImportError, AssertionError, RuntimeError) as error:
        raise SparseBNNError(
            f"Expected dataset {name} in {root} to be readable: {_first_line(error)} {advice}"
        ) from error
    if not builder.data_path.exists():
        if not download:
            raise SparseBNNError(
                f"Expected dataset {name} prepared in {root}, found {listed}. {advice}"
            )
        # A manual download, a missing package, no network, no room: TFDS raises many types.
        try:
            builder.download_and_prepare()
        except (
            *(ValueError, OSError, ImportError, AssertionError, RuntimeError, tf.errors.OpError),
            *(tfds.download.DownloadError, tfds.download.NonMatchingChecksumError),
        ) as error:
            raise SparseBNNError(
                f"Expected to download dataset {name} to {root}: {_first_line(error)}"
            ) from error
    return builder


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".") + "."


def _image_and_label(tfds: Any, info: Any) -> tuple[str, str]:
    """The names of the dataset's one image and one class label."""
    features = info.features
    supervised = info.supervised_keys
    wanted = (
        supervised if isinstance(supervised, tuple) and len(supervised) == 2 else None
    ) or ("image", "label")
    if not isinstance(features, tfds.features.FeaturesDict):
        features = {}
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    if not all(
        isinstance(key, str) and key in features and type(features[key]) is kind
        for key, kind in zip(wanted, kinds, strict=True)
    ):
        found = ", ".join(f"{key}: {type(features[key]).__name__}" for key in features)
        raise SparseBNNError(
            "Expected an image-classification dataset (an Image and a ClassLabel), got "
            f"{found or type(info.features).__name__} (dataset {info.name}). Choose another."
        )
    return str(wanted[0]), str(wanted[1])


def _decoder(feature: Any, image_size: int | None, name: str) -> tuple[Any, Any]:
    """`(encoded picture -> uint8 [H, W, C], (H, W, C))` of a TFDS image feature."""
    dtype = np.dtype(feature.np_dtype)
    if dtype not in (np.uint8, np.uint16):
        raise SparseBNNError(f"Expected uint8 or uint16 pictures, got {dtype} (dataset {name}).")
    height, width, channels = feature.shape
    if image_size is None and not (height and width):
        raise SparseBNNError(
            f"Expected pictures of one size, but those of {name} vary. "
            "Say what to resize them to, for instance --image-size 64."
        )

    def decode(encoded: Any) -> Any:
        if channels is None:
            picture = tf.io.decode_image(encoded, 3, expand_animations=False)
            picture.set_shape([None, None, 3])
        else:
            picture = feature.decode_example(encoded)
        if dtype == np.uint16:
            picture = tf.cast(picture // 257, tf.uint8)
        return picture if image_size is None else _resize(picture, image_size)

    shape = (image_size or height, image_size or width, channels or 3)
    return decode, shape


def _load_tfds(
    name: str,
    data_dir: str | Path | None,
    image_size: int | None,
    augmentation: str,
    download: bool,
    memory_limit: int,
) -> Dataset:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise SparseBNNError(
            f"Expected tensorflow-datasets, which reads {name}, found none. "
            "Run: pip install 'keras-sparsebnn[train]'"
        ) from error
    builder = _builder(tfds, name, data_dir, download)
    info = builder.info
    image_key, label_key = _image_and_label(tfds, info)
    decode, shape = _decoder(info.features[image_key], image_size, name)
    classes = info.features[label_key].num_classes

    def read(split: str, seed: int | None) -> Any:
        config = tfds.ReadConfig(
            try_autocache=False, shuffle_seed=seed, shuffle_reshuffle_each_iteration=False
        )
        if seed is None:
            config.interleave_cycle_length = 1
        examples = builder.as_dataset(
            split=split,
            shuffle_files=seed is not None,
            read_config=config,
            decoders=tfds.decode.PartialDecoding(
                {image_key: True, label_key: True},
                decoders={image_key: tfds.decode.SkipDecoding()},
            ),
        )
        return examples.map(lambda example: (example[image_key], example[label_key]))

    test = _test_split(name, info.splits, functools.partial(read, seed=None))
    sizes = {split: info.splits[split].num_examples for split in ("train", test)}
    decoded_bytes = sum(sizes.values()) * int(np.prod(shape))
    splits: list[_Split] = []
    for split, size in sizes.items():
        if decoded_bytes <= memory_limit:
            splits.append(_decode_all(name, split, read(split, None), decode, shape, size))
        else:
            encoded_bytes = info.splits[split].num_bytes
            stream = functools.partial(read, split)
            splits.append(_StreamedSplit(stream, decode, size, encoded_bytes))
    return Dataset(name, shape, classes, 127.5, augmentation, *splits)


def _test_split(name: str, splits: Any, read: Callable[[str], Any]) -> str:
    """`test`, or `validation` if that does not exist or hides its labels as -1."""
    candidates = [s for s in ("test", "validation") if s in splits and splits[s].num_examples]
    if "train" not in splits or not splits["train"].num_examples or not candidates:
        raise SparseBNNError(
            "Expected splits train and test (or validation), got "
            f"{', '.join(splits) or 'none'} (dataset {name}). Choose another dataset."
        )
    if len(candidates) == 2 and "test" in candidates:
        _, label = next(iter(read("test").take(1)))
        if int(label) < 0:
            return "validation"
    return candidates[0]


def _decode_all(
    name: str, split: str, examples: Any, decode: Any, shape: Any, size: int
) -> _MemorySplit:
    """The whole split as uint8 arrays."""
    pictures = np.empty((size, *shape), np.uint8)
    labels = np.empty(size, np.int64)
    batches = examples.map(
        lambda encoded, label: (decode(encoded), label), num_parallel_calls=tf.data.AUTOTUNE
    ).batch(256)
    filled = 0
    try:
        for batch, batch_labels in batches.prefetch(2).as_numpy_iterator():
            pictures[filled : filled + len(batch)] = batch
            labels[filled : filled + len(batch)] = batch_labels
            filled += len(batch)
    except (tf.errors.OpError, ValueError) as error:
        raise SparseBNNError(
            f"Expected {size} readable pictures in split {split} of {name}, but reading broke "
            f"off after {filled}: {_first_line(error)} Prepare the dataset again."
        ) from error
    if filled != size:
        raise SparseBNNError(
            f"Expected {size} pictures in split {split} of {name}, got {filled}. "
            "Prepare the dataset again."
        )
    return _MemorySplit(_on_cpu(pictures), _on_cpu(labels))
