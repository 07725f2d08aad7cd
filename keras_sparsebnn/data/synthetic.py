"""Made-up images of any size, to try out a network, a strategy or a machine without data."""

from __future__ import annotations

import dataclasses

from keras_sparsebnn._keras import tf
from keras_sparsebnn.data.splits import Edit, Portion, in_order

__all__ = ["CLASSES", "SyntheticSplit"]

CLASSES = 1000  # ImageNet's


@dataclasses.dataclass(frozen=True)
class SyntheticSplit:
    """Noise around a colour that encodes the class; image `i` is always the same.

    Attributes:
        size: how many images.
        image_size: height and width.
        offset: the number of the first image; splits with other offsets share no image.
    """

    size: int
    image_size: int
    offset: int

    def batches(
        self, portion: Portion | None, batch_size: int, edit: Edit | None
    ) -> tf.data.Dataset:
        """See `splits.Split`."""
        shape = (self.image_size, self.image_size, 3)

        def example(index: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            number = index + self.offset
            label = number * 7 % CLASSES  # classes are spread over the images
            digits = tf.stack([label // 100, label // 10 % 10, label % 10])
            colour = tf.cast(digits, tf.float32) * 20.0 + 20.0
            noise = tf.random.stateless_uniform(shape, tf.stack([number, 0]), -20.0, 20.0)
            image = tf.cast(tf.round(colour + noise), tf.uint8)
            return (image if edit is None else edit(image, place)), label

        return (
            tf.data.Dataset.from_tensor_slices(in_order(self.size, portion))
            .map(example, num_parallel_calls=tf.data.AUTOTUNE)
            .batch(batch_size)
        )

    def parted(self, count: int) -> tuple[SyntheticSplit, SyntheticSplit]:
        """All but the last `count` images, and these."""
        kept = self.size - count
        return (
            SyntheticSplit(kept, self.image_size, self.offset),
            SyntheticSplit(count, self.image_size, self.offset + kept),
        )
