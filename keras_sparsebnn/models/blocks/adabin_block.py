"""AdaBin's block, its shortcut, and the quantizers of its convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.layers import PadChannels, TwoSidedPReLU
from keras_sparsebnn.models.blocks.binary_layers import (
    BinaryLayers,
    KernelQuantizer,
    with_options,
)
from keras_sparsebnn.models.blocks.residual_stages import downsampled

__all__ = ["adabin_block", "padded_shortcut", "standardizing"]


def standardizing(
    kernel_quantizer: KernelQuantizer,
) -> Callable[[int], lq.quantizers.Quantizer | None]:
    """Quantizers for `AdaBinConv2D`, from what any network takes.

    One without `standardize` gets it, and with it the gradient "ede" in place of "clip", which
    would stop a third of all standardised weights. In place of larq's signs there is `OneBit`,
    likewise.
    """

    def change(config: dict[str, Any]) -> dict[str, Any]:
        if config["standardize"]:
            return {}
        gradient = config["gradient"]
        return {"standardize": True, "gradient": "ede" if gradient == "clip" else gradient}

    return with_options(kernel_quantizer, 512, change)


def adabin_block(
    x: tf.Tensor,
    filters: int,
    *,
    layers: BinaryLayers,
    name: str,
    stride: int = 1,
    shortcut: Callable[[tf.Tensor, int, int, str], tf.Tensor] = downsampled,
) -> tf.Tensor:
    """AdaBin convolution -> batch norm -> + shortcut -> Maxout.

    Maxout is `pos_c max(x, 0) - neg_c max(-x, 0)` with slopes learned per channel, from 1 and
    0.25: `TwoSidedPReLU`.

    Shape:
        `[B, H, W, C]` -> `[B, H / stride, W / stride, filters]`.

    Reference: Tu et al., "AdaBin", ECCV 2022, arXiv:2208.08084, and its public code.
    """
    beside = shortcut(x, filters, stride, name)
    x = layers.conv(x, filters, strides=stride, name=name)
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    x = keras.layers.Add(name=f"{name}_add")([x, beside])
    return TwoSidedPReLU(name=f"{name}_maxout")(x)


def padded_shortcut(x: tf.Tensor, filters: int, stride: int, name: str) -> tf.Tensor:
    """`x`, or every second pixel of it beside channels of zeros: option A, without weights."""
    if stride > 1:
        x = keras.layers.AveragePooling2D(1, stride, name=f"{name}_shortcut_pool")(x)
    if filters != x.shape[-1]:
        x = PadChannels(filters, name=f"{name}_shortcut_pad")(x)
    return x
