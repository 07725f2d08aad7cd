"""Image-classification datasets of TensorFlow Datasets."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_sparsebnn._keras import tf
from keras_sparsebnn.data.augmentation import center_crop
from keras_sparsebnn.data.splits import MemorySplit, Split, StreamedSplit, on_cpu, resize
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["read_tfds"]


def read_tfds(
    name: str,
    data_dir: str | Path | None,
    image_size: int | None,
    download: bool,
    memory_limit: int,
    *,
    crops: bool,
) -> tuple[tuple[int, int, int], int, Split, Split]:
    """`((H, W, C), classes, train, test)` of a TFDS dataset.

    With `crops` and an `image_size`, training pictures come whole, to be cropped, and test
    pictures are the centre of larger ones.

    Raises:
        SparseBNNError: it is not there, cannot be read, or is no image classification.
    """
    try:
        import tensorflow_datasets as tfds

        _ = tfds.core.DatasetBuilder  # TFDS imports its parts on first use
    except (ImportError, AttributeError) as error:
        raise SparseBNNError(
            f"Expected a working tensorflow-datasets, which reads {name}: {_first_line(error)} "
            "Run: pip install 'keras-sparsebnn[train]'; with TensorFlow 2.15 also pip install "
            "'tensorflow-metadata<1.16'"
        ) from error
    builder = _builder(tfds, name, data_dir, download)
    info = builder.info
    image_key, label_key = _image_and_label(tfds, info)
    decode, shape = _decoder(info.features[image_key], image_size, name)
    whole = crops and image_size is not None

    def fit(picture: Any) -> Any:
        if image_size is None:
            return picture
        return center_crop(picture, image_size) if crops else resize(picture, image_size)

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
    splits: list[Split] = []
    for split, size in sizes.items():
        if decoded_bytes <= memory_limit and not (whole and split == "train"):
            examples = read(split, None)
            splits.append(
                _decode_all(name, split, examples, lambda e: fit(decode(e)), shape, size)
            )
        else:
            encoded_bytes = info.splits[split].num_bytes
            stream = functools.partial(read, split)
            splits.append(StreamedSplit(stream, decode, fit, size, encoded_bytes))
    return shape, classes, splits[0], splits[1]


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
    except _unreadable() as error:
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
                f"Expected to download dataset {name} to {root}: {_first_line(error)}"
            ) from error
    return builder


def _unreadable() -> tuple[type[Exception], ...]:
    """What TFDS lets through when its metadata files are damaged, or not its own."""
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
        found = ", ".join(f"{key}: {type(features[key]).__name__}" for key in sorted(features))
        raise SparseBNNError(
            "Expected an image-classification dataset (an Image and a ClassLabel), got "
            f"{found or type(info.features).__name__} (dataset {info.name}). Choose another."
        )
    return str(wanted[0]), str(wanted[1])


def _decoder(feature: Any, image_size: int | None, name: str) -> tuple[Any, Any]:
    """`(encoded picture -> uint8 [H', W', C], (H, W, C) once fitted)` of an image feature."""
    dtype = np.dtype(feature.np_dtype)
    if dtype not in (np.uint8, np.uint16):
        raise SparseBNNError(
            f"Expected uint8 or uint16 pictures, got {dtype} (dataset {name})."
        )
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
        return picture

    shape = (image_size or height, image_size or width, channels or 3)
    return decode, shape


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
) -> MemorySplit:
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
    return MemorySplit(on_cpu(pictures), on_cpu(labels))
