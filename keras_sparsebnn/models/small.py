"""A small residual network for small pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras_sparsebnn._keras import keras
from keras_sparsebnn.models.bireal_block import bireal_block
from keras_sparsebnn.quantizers import SparseKernel

__all__ = ["small"]


def small(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    kernel_quantizer: Callable[[], Any] = SparseKernel,
    widths: Sequence[int] = (32, 32, 64, 64, 64),
    stem_stride: int | None = None,
    name: str = "small",
) -> Any:
    """A Bi-Real network of five binary 3x3 layers, 32 to 64 channels.

    Float stem -> [sign -> binary 3x3 conv -> BN -> + shortcut] x 5 -> average pool -> dense.
    Where the width grows, the stride is 2 and the shortcut is average pool + float 1x1.

    Args:
        input_shape: height, width, channels of the pictures.
        classes: how many.
        kernel_quantizer: makes one quantizer a layer: `SparseKernel`, `FixedSubset`,
            `lambda: "ste_sign"`, ...
        widths: output channels of each binary layer.
        stem_stride: of the float stem; if None, 2 for pictures over 16 pixels, else 1.
        name: the model's name.
    """
    layers = keras.layers
    pictures = layers.Input(input_shape)
    if stem_stride is None:
        stem_stride = 2 if min(input_shape[:2]) > 16 else 1
    x = layers.Conv2D(
        widths[0], 3, strides=stem_stride, padding="same", use_bias=False, name="stem"
    )(pictures)
    x = layers.BatchNormalization(name="stem_bn")(x)
    for index, filters in enumerate(widths):
        x = bireal_block(x, filters, kernel_quantizer=kernel_quantizer, name=f"binary{index}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    # Float32 whatever the policy: the loss needs the range.
    logits = layers.Dense(classes, dtype="float32", name="classifier")(x)
    return keras.Model(pictures, logits, name=name)
