"""ReActNet's block for ResNets, and the binary convolution of all its blocks."""

from __future__ import annotations

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.layers import DynamicEmbedding, LearnableShift, RPReLU
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers
from keras_sparsebnn.models.blocks.residual_stages import downsampled

__all__ = ["react_block", "react_conv"]


def react_block(
    x: tf.Tensor,
    filters: int,
    *,
    layers: BinaryLayers,
    name: str,
    stride: int = 1,
    reduction: int | None = None,
) -> tf.Tensor:
    """`react_conv` 3x3 -> + shortcut -> RPReLU.

    Shape:
        `[B, H, W, C]` -> `[B, H / stride, W / stride, filters]`.

    Reference: Liu et al., "ReActNet", ECCV 2020, arXiv:2003.03488, and the authors' code for
    ResNet-18, whose order this is.
    """
    shortcut = downsampled(x, filters, stride, name)
    x = react_conv(x, filters, layers=layers, name=name, stride=stride, reduction=reduction)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return RPReLU(name=f"{name}_rprelu")(x)


def react_conv(
    x: tf.Tensor,
    filters: int,
    kernel_size: int = 3,
    *,
    layers: BinaryLayers,
    name: str,
    stride: int = 1,
    reduction: int | None = None,
) -> tf.Tensor:
    """RSign -> binary convolution -> batch norm.

    RSign is a `LearnableShift` and the convolution's sign. With `reduction`, a
    `DynamicEmbedding` takes its place, and adds to the convolution, whose kernels are scaled.

    Shape:
        `[B, H, W, C]` -> `[B, H / stride, W / stride, filters]`.

    Reference: as `react_block`; with `reduction`, see `DynamicEmbedding`. Deviates: pads with
    +1, which LCE folds into the convolution; without `reduction` no scale per channel, which
    batch norm has.
    """
    if reduction is None:
        x = LearnableShift(name=f"{name}_shift")(x)
        x = layers.conv(x, filters, kernel_size, strides=stride, name=name)
    else:
        embedding = DynamicEmbedding(filters, reduction, name=f"{name}_embedding")
        x, offset = embedding(x)
        x = layers.conv(x, filters, kernel_size, strides=stride, scaled=True, name=name)
        x = keras.layers.Add(name=f"{name}_offset")([x, offset])
    return keras.layers.BatchNormalization(name=f"{name}_bn")(x)
