"""ReActNet's block for MobileNets: a binary 3x3 and a binary 1x1 convolution."""

from __future__ import annotations

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import RPReLU
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers
from keras_sparsebnn.models.blocks.react_block import react_conv

__all__ = ["mobilenet_block"]


def mobilenet_block(
    x: tf.Tensor,
    filters: int,
    *,
    layers: BinaryLayers,
    name: str,
    stride: int = 1,
    reduction: int | None = None,
) -> tf.Tensor:
    """A binary 3x3 and a binary 1x1 `react_conv`, each -> + shortcut -> RPReLU.

        h = RPReLU(conv3x3(x) + pool(x)),   y = RPReLU(conv1x1(h) + [h] or [h, h])

    The 3x3 layer, in the place of MobileNet's depthwise one, keeps the channels; it has the
    block's name, the 1x1 layer `{name}_pw`.

    Args:
        x: the input, of C channels.
        filters: C, or 2 C, where the second shortcut is `h` twice, without weights.
        layers: makes the binary convolutions.
        name: of the 3x3 layer, and the prefix of all others.
        stride: 1 or 2, of the 3x3 layer; the first shortcut is then average pooled.
        reduction: r of a `DynamicEmbedding` in both layers; None for RSign.

    Shape:
        `[B, H, W, C]` -> `[B, H / stride, W / stride, filters]`.

    Raises:
        SparseBNNError: for other `filters`.

    Reference: Liu et al., "ReActNet", ECCV 2020, arXiv:2003.03488, figure 3, and its public
    code. Deviates: as `react_conv`. Where channels double, the code has two 1x1 convolutions of
    C channels side by side; one of 2 C is the same function.
    """
    channels = int(x.shape[-1])
    if filters not in (channels, 2 * channels):
        raise SparseBNNError(
            f"Expected {channels} or {2 * channels} filters, as many as channels or twice as "
            f"many, got {filters} (layer {name})."
        )
    shortcut = x
    if stride > 1:
        pool = keras.layers.AveragePooling2D(
            stride, padding="same", name=f"{name}_shortcut_pool"
        )
        shortcut = pool(x)
    x = react_conv(x, channels, layers=layers, name=name, stride=stride, reduction=reduction)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    x = shortcut = RPReLU(name=f"{name}_rprelu")(x)
    if filters > channels:
        shortcut = keras.layers.Concatenate(name=f"{name}_pw_shortcut")([x, x])
    x = react_conv(x, filters, 1, layers=layers, name=f"{name}_pw", reduction=reduction)
    x = keras.layers.Add(name=f"{name}_pw_add")([x, shortcut])
    return RPReLU(name=f"{name}_pw_rprelu")(x)
