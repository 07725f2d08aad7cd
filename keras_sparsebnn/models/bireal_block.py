"""The Bi-Real block: one binary convolution, one shortcut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_sparsebnn._keras import keras
from keras_sparsebnn.layers import SparseBinaryConv2D

__all__ = ["bireal_block"]


def bireal_block(
    x: Any, filters: int, *, kernel_quantizer: Callable[[], Any], name: str
) -> Any:
    """sign -> binary 3x3 convolution -> batch norm -> + shortcut.

    Where the width changes, the stride is 2 and the shortcut is average pool -> float 1x1 ->
    batch norm. Padding is with +1, which LCE folds into the convolution.

    Shape:
        `[B, H, W, C]` -> `[B, H, W, C]`, or `[B, H / 2, W / 2, filters]`.

    Reference: Liu et al., "Bi-Real Net", ECCV 2018, arXiv:1808.00278, section 3.1.
    """
    layers = keras.layers
    stride = 2 if filters != x.shape[-1] else 1
    shortcut = x
    if stride == 2:
        prefix = f"{name}_shortcut"
        shortcut = layers.AveragePooling2D(2, padding="same", name=f"{prefix}_pool")(x)
        shortcut = layers.Conv2D(filters, 1, use_bias=False, name=f"{prefix}_conv")(shortcut)
        shortcut = layers.BatchNormalization(name=f"{prefix}_bn")(shortcut)
    x = SparseBinaryConv2D(
        filters,
        3,
        strides=stride,
        padding="same",
        pad_values=1.0,
        input_quantizer="approx_sign",
        kernel_quantizer=kernel_quantizer(),
        use_bias=False,
        name=name,
    )(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.Add(name=f"{name}_add")([x, shortcut])
