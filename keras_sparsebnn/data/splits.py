"""One split of a dataset, in memory or streamed, in an order that a key decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import tf
from keras_sparsebnn.errors import SparseBNNError

__all__ = [
    "MemorySplit",
    "Portion",
    "Split",
    "StreamedSplit",
    "held_out_count",
    "in_order",
    "on_cpu",
    "resize",
]

SHUFFLE_BUFFER = 128 << 20  # bytes of encoded images

Edit = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""From an image and its position in the epoch to an image."""


@dataclasses.dataclass(frozen=True)
class Portion:
    """What one worker sees of an epoch: the same slice of each of its batches.

    Attributes:
        seed, epoch: decide the order.
        first: the first batch.
        end: one past the last batch.
        batch_size: of all workers together.
        low, high: the slice of each batch, `[low, high)`.
    """

    seed: int
    epoch: int
    first: int
    end: int
    batch_size: int
    low: int
    high: int

    @property
    def key(self) -> tuple[int, int]:
        """What the order of the epoch depends on."""
        return self.seed, self.epoch

    def positions(self) -> npt.NDArray[np.int64]:
        """Places in the epoch's order, rising."""
        starts = np.arange(self.first, self.end, dtype=np.int64) * self.batch_size
        places: npt.NDArray[np.int64] = starts[:, None] + np.arange(self.low, self.high)
        return places.reshape(-1)


def in_order(
    size: int, portion: Portion | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Numbers of the portion's images, shuffled by its key, and their places in the epoch.

    Without a portion, all images in stored order.
    """
    order = np.arange(size)
    if portion is None:
        return order, order
    np.random.default_rng(portion.key).shuffle(order)
    places = portion.positions()
    return order[places], places


class Split(Protocol):
    """One split: batches of uint8 images and labels in a given order."""

    @property
    def size(self) -> int:
        """How many images."""

    def batches(
        self, portion: Portion | None, batch_size: int, edit: Edit | None
    ) -> tf.data.Dataset:
        """The portion, shuffled by its key; without one, all images in stored order."""


@dataclasses.dataclass(frozen=True)
class MemorySplit:
    """A split that is decoded already.

    Attributes:
        images: uint8 `[N, H, W, C]`.
        labels: int64 `[N]`.
    """

    images: tf.Tensor
    labels: tf.Tensor

    @property
    def size(self) -> int:
        return int(self.labels.shape[0])

    def batches(
        self, portion: Portion | None, batch_size: int, edit: Edit | None
    ) -> tf.data.Dataset:
        chosen, places = in_order(self.size, portion)
        if edit is None:
            return (
                tf.data.Dataset.from_tensor_slices(chosen)
                .batch(batch_size)
                .map(lambda ids: (tf.gather(self.images, ids), tf.gather(self.labels, ids)))
            )
        return (
            tf.data.Dataset.from_tensor_slices((chosen, places))
            .map(
                lambda i, place: (edit(self.images[i], place), self.labels[i]),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            .batch(batch_size)
        )

    def parted(self, count: int) -> tuple[MemorySplit, MemorySplit]:
        """All but the last `count` images, and these."""
        kept = self.size - count
        with tf.device("CPU:0"):
            return (
                MemorySplit(self.images[:kept], self.labels[:kept]),
                MemorySplit(self.images[kept:], self.labels[kept:]),
            )


@dataclasses.dataclass(frozen=True)
class StreamedSplit:
    """A split that is read anew in each epoch.

    Attributes:
        read: from a seed for the order of its files (None: stored order) to (encoded image,
            label) pairs.
        decode: from an encoded image to uint8 `[H', W', C]`.
        fit: from that to uint8 `[H, W, C]`.
        size: how many images.
        encoded_bytes: of all of them.
    """

    read: Callable[[int | None], tf.data.Dataset]
    decode: Callable[[tf.Tensor], tf.Tensor]
    fit: Callable[[tf.Tensor], tf.Tensor]
    size: int
    encoded_bytes: int

    def batches(
        self, portion: Portion | None, batch_size: int, edit: Edit | None
    ) -> tf.data.Dataset:
        if portion is None:
            examples = self.read(None).enumerate()
        else:
            seed = int(np.random.SeedSequence(portion.key).generate_state(1)[0] >> 1)
            mean_bytes = max(1, self.encoded_bytes // self.size)
            buffer = min(self.size, max(64, SHUFFLE_BUFFER // mean_bytes))
            # Still encoded: the buffer holds more images, and those that were trained on
            # already, or are another worker's, need no decoding.
            examples = self.read(seed).shuffle(buffer, seed, reshuffle_each_iteration=False)
            whole, low, high = portion.batch_size, portion.low, portion.high
            examples = examples.take(portion.end * whole).enumerate()
            examples = examples.skip(portion.first * whole)
            if (low, high) != (0, whole):
                examples = examples.filter(
                    lambda place, _: (place % whole >= low) & (place % whole < high)
                )

        def edited_image(
            place: tf.Tensor, example: tuple[tf.Tensor, tf.Tensor]
        ) -> tuple[tf.Tensor, tf.Tensor]:
            decoded = self.decode(example[0])
            edited = self.fit(decoded) if edit is None else edit(decoded, place)
            return edited, example[1]

        return examples.map(edited_image, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)


def on_cpu(array: npt.NDArray[Any]) -> tf.Tensor:
    with tf.device("CPU:0"):
        return tf.constant(array)


def resize(images: tf.Tensor, size: int) -> tf.Tensor:
    resized = tf.image.resize(images, [size, size], antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)


def held_out_count(name: str, size: int, fraction: float) -> int:
    """How many of `size` images a holdout takes.

    Raises:
        SparseBNNError: none would be left to train on, or to test on.
    """
    count = round(size * fraction)
    if not 0 < count < size:
        raise SparseBNNError(
            f"Expected a holdout of some but not all of {size} images, got {fraction:g} of "
            f"them (dataset {name}). Use a fraction nearer 0.5."
        )
    return count
