"""Made-up pictures of any size, to try out a network, a strategy or a machine without data."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from keras_sparsebnn._keras import tf
from keras_sparsebnn.data.splits import Edit, Portion

__all__ = ["CLASSES", "SyntheticSplit"]

CLASSES = 1000  # ImageNet's


@dataclasses.dataclass(frozen=True)
class SyntheticSplit:
    """Noise around a colour that tells the class; picture `i` is always the same.

    Attributes:
        size: how many.
        image_size: height and width.
        offset: of the first picture, so that two splits share none.
    """

    size: int
    image_size: int
    offset: int

    def batches(self, portion: Portion | None, batch_size: int, edit: Edit | None) -> Any:
        """See `dataset_splits.Split`."""
        order = np.arange(self.size)
        places = order
        if portion is not None:
            np.random.default_rng(portion.key).shuffle(order)
            places = portion.positions()
        shape = (self.image_size, self.image_size, 3)

        def example(index: Any, place: Any) -> tuple[Any, Any]:
            number = index + self.offset
            label = number * 7 % CLASSES  # classes are spread over the pictures
            digits = tf.stack([label // 100, label // 10 % 10, label % 10])
            colour = tf.cast(digits, tf.float32) * 20.0 + 20.0
            noise = tf.random.stateless_uniform(shape, tf.stack([number, 0]), -20.0, 20.0)
            picture = tf.cast(tf.round(colour + noise), tf.uint8)
            return (picture if edit is None else edit(picture, place)), label

        return (
            tf.data.Dataset.from_tensor_slices((order[places], places))
            .map(example, num_parallel_calls=tf.data.AUTOTUNE)
            .batch(batch_size)
        )
