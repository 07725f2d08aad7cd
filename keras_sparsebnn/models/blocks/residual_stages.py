"""Stem, stages and classifier of residual networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.models.blocks.sizes import check_depths, check_widths

__all__ = ["classifier", "downsampled", "is_large", "residual_stages", "stem", "stem_3x3"]


def is_large(images: tf.Tensor) -> bool:
    """Whether images have 64 pixels or more, as ImageNet's and unlike CIFAR's."""
    return bool(min(images.shape[1:3]) >= 64)


def stem(images: tf.Tensor, width: int) -> tf.Tensor:
    """Float 7x7 with stride 2 and a max pool for large images, else 3x3; then batch norm."""
    large = is_large(images)
    x = keras.layers.Conv2D(
        width,
        7 if large else 3,
        strides=2 if large else 1,
        padding="same",
        use_bias=False,
        name="stem",
    )(images)
    x = keras.layers.BatchNormalization(name="stem_bn")(x)
    if large:
        x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    return x


def stem_3x3(images: tf.Tensor, width: int, stride: int) -> tf.Tensor:
    """Float 3x3 -> batch norm."""
    x = keras.layers.Conv2D(
        width, 3, strides=stride, padding="same", use_bias=False, name="stem"
    )(images)
    return keras.layers.BatchNormalization(name="stem_bn")(x)


def residual_stages(
    x: tf.Tensor,
    block: Callable[..., Any],
    widths: Sequence[int],
    depths: Sequence[int],
    strides: Sequence[int] | None = None,
) -> tf.Tensor:
    """`depths[s]` blocks of `widths[s]` channels a stage, named `stage{s}_{index}`.

    Args:
        x: the stem's output.
        block: called with `x, filters, stride=, name=`.
        widths: channels of each stage.
        depths: blocks, each with one 3x3 layer, of each stage.
        strides: of the first block of each stage; if None, 2 in every stage but the first.
    """
    check_depths(depths)
    check_widths(widths)
    strides = strides or [1, *[2] * (len(depths) - 1)]
    for stage, (filters, depth, first) in enumerate(zip(widths, depths, strides, strict=True)):
        for index in range(depth):
            stride = 1 if index else first
            x = block(x, filters, stride=stride, name=f"stage{stage}_{index}")
    return x


def downsampled(x: tf.Tensor, filters: int, stride: int, name: str) -> tf.Tensor:
    """The shortcut: `x`, or average pool -> float 1x1 -> batch norm where shapes change."""
    if stride == 1 and filters == x.shape[-1]:
        return x
    if stride > 1:
        x = keras.layers.AveragePooling2D(stride, padding="same", name=f"{name}_shortcut_pool")(
            x
        )
    x = keras.layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_shortcut_conv")(x)
    return keras.layers.BatchNormalization(name=f"{name}_shortcut_bn")(x)


def classifier(x: tf.Tensor, classes: int, *, normalized: bool = False) -> tf.Tensor:
    """Global average pool (-> batch norm) -> dense.

    Dense is float32 whatever the policy: the loss needs the range.
    """
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    if normalized:
        x = keras.layers.BatchNormalization(name="pool_bn")(x)
    return keras.layers.Dense(classes, dtype="float32", name="classifier")(x)
