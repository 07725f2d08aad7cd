"""A small residual network for small pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras_sparsebnn._keras import keras
from keras_sparsebnn.layers import SparseBinaryConv2D
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
        stride = 2 if filters != x.shape[-1] else 1
        shortcut = x
        if stride == 2:
            shortcut = layers.AveragePooling2D(2, padding="same", name=f"shortcut{index}_pool")(
                x
            )
            shortcut = layers.Conv2D(filters, 1, use_bias=False, name=f"shortcut{index}_conv")(
                shortcut
            )
            shortcut = layers.BatchNormalization(name=f"shortcut{index}_bn")(shortcut)
        x = SparseBinaryConv2D(
            filters,
            3,
            strides=stride,
            padding="same",
            pad_values=1.0,
            input_quantizer="approx_sign",
            kernel_quantizer=kernel_quantizer(),
            use_bias=False,
            name=f"binary{index}",
        )(x)
        x = layers.BatchNormalization(name=f"binary{index}_bn")(x)
        x = layers.Add(name=f"add{index}")([x, shortcut])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    # Float32 whatever the policy: the loss needs the range.
    logits = layers.Dense(classes, dtype="float32", name="classifier")(x)
    return keras.Model(pictures, logits, name=name)
