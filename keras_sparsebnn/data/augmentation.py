"""Augmentation of training images: a pure function of seed, epoch and position in it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import tf

__all__ = [
    "center_crop",
    "crop_and_flip",
    "draw_offsets",
    "random_resized_crop",
    "shift_and_flip",
]

PADDING = 4
CENTER = 0.875  # of the shorter side: 224 of 256 pixels

# Principal components of ImageNet's colours in [0, 1], as in AlexNet (section 4.1) and most
# recipes since: standard deviations and directions.
_LIGHTING_STD = 0.1
_LIGHTING_VALUES = (0.2175, 0.0188, 0.0045)
_LIGHTING_VECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


def draw_offsets(
    kind: str, seed: int, epoch: int, shape: tuple[int, int, int], count: int
) -> npt.NDArray[np.int32]:
    """What `shift_and_flip` or `crop_and_flip` does to each position of an epoch.

    Shape:
        -> `[count, 3]`: down, right, mirrored or not.
    """
    rng = np.random.default_rng((seed, epoch, 1))
    cropped = kind in ("crop", "crop_flip")
    vertical, horizontal = (PADDING if cropped else side // 8 for side in shape[:2])
    down = rng.integers(-vertical, vertical + 1, count)
    right = rng.integers(-horizontal, horizontal + 1, count)
    mirrored = rng.integers(0, 2, count) * (kind in ("flip_shift", "crop_flip"))
    drawn: npt.NDArray[np.int32] = np.stack([down, right, mirrored], 1).astype(np.int32)
    return drawn


def shift_and_flip(images: tf.Tensor, offsets: tf.Tensor) -> tf.Tensor:
    """Shifts images, repeating their edges, and mirrors them: one gather along each axis.

    Shape:
        `[B, H, W, C]`, `[B, 3]` -> `[B, H, W, C]`.
    """
    height, width = images.shape[1], images.shape[2]
    rows = tf.clip_by_value(tf.range(height) - offsets[:, :1], 0, height - 1)
    columns = tf.clip_by_value(tf.range(width) - offsets[:, 1:2], 0, width - 1)
    columns = tf.where(offsets[:, 2:] > 0, width - 1 - columns, columns)
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(images, columns, axis=2, batch_dims=1)


def crop_and_flip(images: tf.Tensor, offsets: tf.Tensor) -> tf.Tensor:
    """Shifts images by up to 4 pixels, fills with black, then mirrors.

    Shape:
        `[B, H, W, C]`, `[B, 3]` -> `[B, H, W, C]`.
    """
    height, width = images.shape[1], images.shape[2]
    sides = [PADDING, PADDING]
    images = tf.pad(images, [[0, 0], sides, sides, [0, 0]])
    rows = tf.range(height) + PADDING - offsets[:, :1]
    columns = tf.range(width)
    columns = tf.where(offsets[:, 2:] > 0, width - 1 - columns, columns)
    columns += PADDING - offsets[:, 1:2]
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(images, columns, axis=2, batch_dims=1)


def random_resized_crop(
    image: tf.Tensor, seed: tf.Tensor, shape: tuple[int, int, int], *, lighting: bool
) -> tf.Tensor:
    """A random part of 8 to 100 % of the area and 3/4 to 4/3 in aspect, resized, mirrored.

    Args:
        image: uint8.
        seed: a tensor of two integers; the same pair gives the same result.
        shape: height, width, channels of the result.
        lighting: shift the colours of RGB images along their principal components.

    Shape:
        `[H', W', C]` -> `[H, W, C]` float32 in [0, 255], a little beyond with lighting.
    """
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        tf.zeros([0, 0, 4], tf.float32),
        seed=seed,
        min_object_covered=0.0,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    image = tf.slice(image, begin, size)
    image = tf.image.resize(image, shape[:2], antialias=True)
    mirror_seed, light_seed = (seed + tf.constant([i, 0], seed.dtype) for i in (1, 2))
    mirrored = tf.random.stateless_uniform([], mirror_seed) < 0.5
    image = tf.where(mirrored, tf.reverse(image, [1]), image)
    if lighting and shape[2] == 3:
        alpha = tf.random.stateless_normal([3], light_seed, stddev=_LIGHTING_STD)
        vectors = tf.constant(_LIGHTING_VECTORS)
        image += 255.0 * tf.linalg.matvec(vectors, alpha * _LIGHTING_VALUES)
    return tf.ensure_shape(image, shape)


def center_crop(image: tf.Tensor, size: int) -> tf.Tensor:
    """The middle of an image whose shorter side is resized to `size / 0.875` pixels.

    Shape:
        `[H', W', C]` uint8 -> `[size, size, C]` uint8.
    """
    sides = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = round(size / CENTER) / tf.reduce_min(sides)
    image = tf.image.resize(image, tf.cast(tf.round(sides * scale), tf.int32), antialias=True)
    begin = (tf.shape(image)[:2] - size) // 2
    image = image[begin[0] : begin[0] + size, begin[1] : begin[1] + size]
    return tf.cast(tf.round(image), tf.uint8)
