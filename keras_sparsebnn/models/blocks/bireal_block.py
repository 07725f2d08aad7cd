"""The Bi-Real block: one binary convolution, one shortcut."""

from __future__ import annotations

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers
from keras_sparsebnn.models.blocks.residual_stages import downsampled

__all__ = ["bireal_block"]


def bireal_block(
    x: tf.Tensor, filters: int, *, layers: BinaryLayers, name: str, stride: int = 1
) -> tf.Tensor:
    """sign -> binary 3x3 convolution -> batch norm -> + shortcut.

    Shape:
        `[B, H, W, C]` -> `[B, H / stride, W / stride, filters]`.

    Reference: Liu et al., "Bi-Real Net", ECCV 2018, arXiv:1808.00278, section 3.1.
    Deviates: pads with +1, which LCE folds into the convolution.
    """
    shortcut = downsampled(x, filters, stride, name)
    x = layers.conv(x, filters, strides=stride, name=name)
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.Add(name=f"{name}_add")([x, shortcut])
