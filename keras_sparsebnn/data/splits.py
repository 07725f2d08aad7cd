"""One split of a dataset, in memory or streamed, in an order that a key decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import tf

__all__ = ["MemorySplit", "Portion", "Split", "StreamedSplit", "on_cpu", "resize"]

SHUFFLE_BUFFER = 128 << 20  # bytes of encoded pictures

Edit = Callable[[Any, Any], Any]
"""From a picture and its position in the epoch to a picture."""


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


class Split(Protocol):
    """One split: `(pictures, labels)` batches, undecoded to floats, in a given order."""

    @property
    def size(self) -> int:
        """How many pictures."""

    def batches(self, portion: Portion | None, batch_size: int, edit: Edit | None) -> Any:
        """All of it in stored order if `portion` is None, else that, shuffled by its key."""


@dataclasses.dataclass(frozen=True)
class MemorySplit:
    pictures: Any  # uint8 [N, H, W, C]
    labels: Any  # int64 [N]

    @property
    def size(self) -> int:
        return int(self.labels.shape[0])

    def batches(self, portion: Portion | None, batch_size: int, edit: Edit | None) -> Any:
        order = np.arange(self.size)
        places = order
        if portion is not None:
            np.random.default_rng(portion.key).shuffle(order)
            places = portion.positions()
        chosen = order[places]
        if edit is None:
            return (
                tf.data.Dataset.from_tensor_slices(chosen)
                .batch(batch_size)
                .map(lambda ids: (tf.gather(self.pictures, ids), tf.gather(self.labels, ids)))
            )
        return (
            tf.data.Dataset.from_tensor_slices((chosen, places))
            .map(
                lambda i, place: (edit(self.pictures[i], place), self.labels[i]),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            .batch(batch_size)
        )


@dataclasses.dataclass(frozen=True)
class StreamedSplit:
    read: Callable[[int | None], Any]  # file-order seed -> (encoded picture, label)s
    decode: Callable[[Any], Any]  # -> uint8 [H', W', C]
    fit: Callable[[Any], Any]  # -> uint8 [H, W, C]
    size: int
    encoded_bytes: int

    def batches(self, portion: Portion | None, batch_size: int, edit: Edit | None) -> Any:
        if portion is None:
            examples = self.read(None).enumerate()
        else:
            seed = int(np.random.SeedSequence(portion.key).generate_state(1)[0] >> 1)
            mean_bytes = max(1, self.encoded_bytes // self.size)
            buffer = min(self.size, max(64, SHUFFLE_BUFFER // mean_bytes))
            # Still encoded: a buffer of them covers more pictures, and what was trained on
            # already, or is another worker's, costs no decoding.
            examples = self.read(seed).shuffle(buffer, seed, reshuffle_each_iteration=False)
            whole, low, high = portion.batch_size, portion.low, portion.high
            examples = examples.take(portion.end * whole).enumerate()
            examples = examples.skip(portion.first * whole)
            if (low, high) != (0, whole):
                examples = examples.filter(
                    lambda place, _: (place % whole >= low) & (place % whole < high)
                )

        def picture(place: Any, example: Any) -> tuple[Any, Any]:
            decoded = self.decode(example[0])
            edited = self.fit(decoded) if edit is None else edit(decoded, place)
            return edited, example[1]

        return examples.map(picture, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)


def on_cpu(array: npt.NDArray[Any]) -> Any:
    with tf.device("CPU:0"):
        return tf.constant(array)


def resize(pictures: Any, size: int) -> Any:
    resized = tf.image.resize(pictures, [size, size], antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)
