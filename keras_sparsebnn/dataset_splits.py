"""One split of a dataset, in memory or streamed, in an order that a key decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import tf

__all__ = ["MemorySplit", "Split", "StreamedSplit", "on_cpu", "resize"]

SHUFFLE_BUFFER = 128 << 20  # bytes of encoded pictures


class Split(Protocol):
    """One split: `(pictures, labels)` batches, undecoded to floats, in a given order."""

    @property
    def size(self) -> int:
        """How many pictures."""

    def batches(self, key: tuple[int, int] | None, batch_size: int, skip: int) -> Any:
        """In stored order if `key` is None, else shuffled by it; `skip` counts batches."""


@dataclasses.dataclass(frozen=True)
class MemorySplit:
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
class StreamedSplit:
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


def on_cpu(array: npt.NDArray[Any]) -> Any:
    with tf.device("CPU:0"):
        return tf.constant(array)


def resize(pictures: Any, size: int) -> Any:
    resized = tf.image.resize(pictures, [size, size], antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)
