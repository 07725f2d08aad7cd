"""Image-classification datasets of TensorFlow Datasets."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from keras_sparsebnn._keras import tf
from keras_sparsebnn.data.augmentation import center_crop
from keras_sparsebnn.data.splits import (
    MemorySplit,
    Split,
    StreamedSplit,
    held_out_count,
    on_cpu,
    resize,
)
from keras_sparsebnn.errors import SparseBNNError, first_line

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

__all__ = ["read_tfds"]


def read_tfds(
    name: str,
    data_dir: str | Path | None,
    image_size: int | None,
    download: bool,
    memory_limit: int,
    *,
    crops: bool,
    holdout: float | None,
) -> tuple[tuple[int, int, int], int, Split, Split]:
    """`((H, W, C), classes, train, test)` of a TFDS dataset.

    With `crops` and an `image_size`, training images come whole, to be cropped, and test
    images are the centre of larger ones. With a `holdout`, the test split is that fraction of
    the training split, see `load`.

    Raises:
        SparseBNNError: it is not there, cannot be read, or is no image classification.
    """
    try:
        import tensorflow_datasets as tfds

        _ = tfds.core.DatasetBuilder  # TFDS imports its parts on first use
    except (ImportError, AttributeError) as error:
        raise SparseBNNError(
            f"Expected a working tensorflow-datasets, which reads {name}: {first_line(error)} "
            "Run: pip install 'keras-sparsebnn[train]'; with TensorFlow 2.15 also pip install "
            "'tensorflow-metadata<1.16'"
        ) from error
    builder = _builder(tfds, name, data_dir, download)
    info = builder.info
    image_key, label_key = _image_and_label(tfds, info)
    decode, shape = _decoder(info.features[image_key], image_size, name)
    whole = crops and image_size is not None

    def fit(image: tf.Tensor) -> tf.Tensor:
        if image_size is None:
            return image
        return center_crop(image, image_size) if crops else resize(image, image_size)

    classes = info.features[label_key].num_classes

    def read(split: str, seed: int | None) -> tf.data.Dataset:
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

    train, test = _split_names(name, info.splits, holdout, functools.partial(read, seed=None))
    sizes = {split: info.splits[split].num_examples for split in (train, test)}
    decoded_bytes = sum(sizes.values()) * int(np.prod(shape))
    splits: list[Split] = []
    for split, size in sizes.items():
        if decoded_bytes <= memory_limit and not (whole and split == train):
            examples = read(split, None)
            splits.append(
                _decode_all(name, split, examples, lambda e: fit(decode(e)), shape, size)
            )
        else:
            stored = info.splits[split.partition("[")[0]]
            encoded_bytes = stored.num_bytes * size // stored.num_examples
            stream = functools.partial(read, split)
            splits.append(StreamedSplit(stream, decode, fit, size, encoded_bytes))
    return shape, classes, splits[0], splits[1]


def _builder(
    tfds: ModuleType, name: str, data_dir: str | Path | None, download: bool
) -> tfds.core.DatasetBuilder:
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
    except _unreadable() as error:
        raise SparseBNNError(
            f"Expected dataset {name} in {root} to be readable: {first_line(error)} {advice}"
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
            *(
                ValueError,
                OSError,
                ImportError,
                AssertionError,
                RuntimeError,
                tf.errors.OpError,
            ),
            *(tfds.download.DownloadError, tfds.download.NonMatchingChecksumError),
        ) as error:
            raise SparseBNNError(
                f"Expected to download dataset {name} to {root}: {first_line(error)}"
            ) from error
    return builder


def _unreadable() -> tuple[type[Exception], ...]:
    """What TFDS raises when its metadata files are damaged, or not its own."""
    from google.protobuf.json_format import ParseError

    wrong_content = (
        AssertionError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        ParseError,
    )
    return (*wrong_content, ImportError, OSError, RuntimeError)


def _image_and_label(tfds: ModuleType, info: tfds.core.DatasetInfo) -> tuple[str, str]:
    """The names of the image and of the class label to learn.

    The pair that the dataset declares for supervised learning, else `image` and `label`, else
    its only image and its only class label, whatever their names.
    """
    features = info.features if isinstance(info.features, tfds.features.FeaturesDict) else {}
    kinds = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    found = {
        kind: [key for key in features if type(features[key]) is cls]
        for kind, cls in kinds.items()
    }
    supervised = info.supervised_keys
    if not (isinstance(supervised, tuple) and len(supervised) == 2):
        supervised = ("image", "label")
    for image, label in (supervised, ("image", "label")):
        if image in found["image"] and label in found["label"]:
            return str(image), str(label)
    if len(found["image"]) == len(found["label"]) == 1:
        return found["image"][0], found["label"][0]
    listed = ", ".join(f"{key}: {type(features[key]).__name__}" for key in sorted(features))
    raise SparseBNNError(
        "Expected an image-classification dataset (an Image and a ClassLabel), got "
        f"{listed or type(info.features).__name__} (dataset {info.name}). Choose another, or "
        "prepare it with one Image and one ClassLabel."
    )


def _decoder(
    feature: tfds.features.Image, image_size: int | None, name: str
) -> tuple[Callable[[tf.Tensor], tf.Tensor], tuple[int, int, int]]:
    """`(encoded image -> uint8 [H', W', C], (H, W, C) once fitted)` of an image feature."""
    dtype = np.dtype(feature.np_dtype)
    if dtype not in (np.uint8, np.uint16):
        raise SparseBNNError(f"Expected uint8 or uint16 images, got {dtype} (dataset {name}).")
    height, width, channels = feature.shape
    if image_size is None and not (height and width):
        raise SparseBNNError(
            f"Expected images of one size, but those of {name} vary. "
            "Say what to resize them to: --image-size 64 (image_size=64)."
        )

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        if channels is None:
            image = tf.io.decode_image(encoded, 3, expand_animations=False)
            image.set_shape([None, None, 3])
        else:
            image = feature.decode_example(encoded)
        if dtype == np.uint16:
            image = tf.cast(image // 257, tf.uint8)
        return image

    shape = (image_size or height, image_size or width, channels or 3)
    return decode, shape


def _split_names(
    name: str,
    splits: Mapping[str, tfds.core.SplitInfo],
    holdout: float | None,
    read: Callable[[str], tf.data.Dataset],
) -> tuple[str, str]:
    """What to train and to test on, as TFDS calls them.

    The latter is `test`, or `validation` if that does not exist or hides its labels as -1.
    """
    candidates = [s for s in ("test", "validation") if s in splits and splits[s].num_examples]
    size = splits["train"].num_examples if "train" in splits else 0
    if not size or not (candidates or holdout):
        advice = "Choose another dataset."
        if size:
            advice = "Take a part of train for tests: --holdout 0.1 (holdout=0.1)."
        raise SparseBNNError(
            "Expected splits train and test (or validation), got "
            f"{', '.join(splits) or 'none'} (dataset {name}). {advice}"
        )
    if holdout is not None:
        kept = size - held_out_count(name, size, holdout)
        return f"train[:{kept}]", f"train[{kept}:]"
    if len(candidates) == 2:
        _, label = next(iter(read("test").take(1)))
        if int(label) < 0:
            return "train", "validation"
    return "train", candidates[0]


def _decode_all(
    name: str,
    split: str,
    examples: tf.data.Dataset,
    decode: Callable[[tf.Tensor], tf.Tensor],
    shape: tuple[int, int, int],
    size: int,
) -> MemorySplit:
    """The whole split as uint8 arrays."""
    images = np.empty((size, *shape), np.uint8)
    labels = np.empty(size, np.int64)
    batches = examples.map(
        lambda encoded, label: (decode(encoded), label), num_parallel_calls=tf.data.AUTOTUNE
    ).batch(256)
    filled = 0
    try:
        for batch, batch_labels in batches.prefetch(2).as_numpy_iterator():
            images[filled : filled + len(batch)] = batch
            labels[filled : filled + len(batch)] = batch_labels
            filled += len(batch)
    except (tf.errors.OpError, ValueError) as error:
        raise SparseBNNError(
            f"Expected {size} readable images in split {split} of {name}, but reading broke "
            f"off after {filled}: {first_line(error)} Prepare the dataset again."
        ) from error
    if filled != size:
        raise SparseBNNError(
            f"Expected {size} images in split {split} of {name}, got {filled}. "
            "Prepare the dataset again."
        )
    return MemorySplit(on_cpu(images), on_cpu(labels))
