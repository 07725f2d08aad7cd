"""The ReActNet block: the Bi-Real block with learned thresholds and bends."""

from __future__ import annotations

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.layers import LearnableShift, RPReLU
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers
from keras_sparsebnn.models.blocks.residual_stages import downsampled

__all__ = ["react_block"]


def react_block(
    x: tf.Tensor, filters: int, *, layers: BinaryLayers, name: str, stride: int = 1
) -> tf.Tensor:
    """RSign -> binary 3x3 convolution -> batch norm -> + shortcut -> RPReLU.

    RSign is a `LearnableShift` and the convolution's sign.

    Shape:
        `[B, H, W, C]` -> `[B, H / stride, W / stride, filters]`.

    Reference: Liu et al., "ReActNet", ECCV 2020, arXiv:2003.03488, and the authors' code for
    ResNet-18, whose order this is. Deviates: pads with +1, which LCE folds into the
    convolution; no scale per channel, which batch norm has.
    """
    shortcut = downsampled(x, filters, stride, name)
    x = LearnableShift(name=f"{name}_shift")(x)
    x = layers.conv(x, filters, strides=stride, name=name)
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return RPReLU(name=f"{name}_rprelu")(x)
