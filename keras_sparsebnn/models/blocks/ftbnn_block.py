r"""FTBNN's block: a non-linear module after binary convolution, batch norm and shortcut.

    y = f(BN(sign(x) * sign(W)) + s(x))         placement "after_shortcut"
    y = f(BN(sign(x) * sign(W))) + s(x)         placement "before_shortcut"

The shortcut `s` is the identity, or average pool -> 1x1 convolution -> BN where the width
grows; the 1x1 convolution is float, or binary like the rest (*further use of binary
operations*). With G groups (*group execution*) each output channel sees Cin / G inputs:
sqrt(G) times as wide, the 3x3 layers have the weights and operations they had.

The modules f: ReLU `max(x, 0)`; Hardtanh `max(-1, min(1, x))`; PReLU `x` or `a_c x`; two-sided
PReLU `b_c x` or `a_c x`; or none, which is the Bi-Real block.

Reference: Su et al., "FTBNN: Rethinking Non-linearity for 1-bit CNNs and Going Beyond",
arXiv:2010.09294. Its argument: training a binary convolution for little quantization error
makes it linear, so the network needs its non-linearity from a module of its own; PReLU is
found best. Deviates: only the abstract could be checked, the rest is from memory of the
paper: equations, placements, the order of the shortcut. Pads with +1. Groups need 32
channels, a word of LCE's, or a multiple.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import HardTanh, TwoSidedPReLU
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers
from keras_sparsebnn.models.blocks.residual_stages import downsampled

__all__ = ["NON_LINEARITIES", "PLACEMENTS", "ftbnn_block", "non_linear"]

NON_LINEARITIES: dict[str, Callable[..., Any]] = {
    "prelu": partial(
        keras.layers.PReLU,
        shared_axes=[1, 2],
        alpha_initializer=keras.initializers.Constant(0.25),
    ),
    "two_sided_prelu": TwoSidedPReLU,
    "hardtanh": HardTanh,
    "relu": keras.layers.ReLU,
}

PLACEMENTS = ("after_shortcut", "before_shortcut")


def non_linear(x: tf.Tensor, kind: str | None, name: str) -> tf.Tensor:
    """`f(x)`; `x` itself if `kind` is None.

    Raises:
        SparseBNNError: for a kind that is not in `NON_LINEARITIES`.
    """
    if kind is None:
        return x
    if kind not in NON_LINEARITIES:
        raise SparseBNNError(
            f"Expected `non_linearity` to be None or one of "
            f"{', '.join(map(repr, NON_LINEARITIES))}, got {kind!r}."
        )
    return NON_LINEARITIES[kind](name=name)(x)


def ftbnn_block(
    x: tf.Tensor,
    filters: int,
    *,
    layers: BinaryLayers,
    name: str,
    stride: int = 1,
    non_linearity: str | None = "prelu",
    placement: str = "after_shortcut",
    binary_shortcut: bool = False,
    groups: int = 1,
) -> tf.Tensor:
    """One binary 3x3 layer with its shortcut and its module f, see the module's docstring.

    Args:
        x: the input.
        filters: output channels.
        layers: makes the binary convolutions.
        name: of the 3x3 layer, and the prefix of all others.
        stride: 1 or 2.
        non_linearity: a key of `NON_LINEARITIES`, or None.
        placement: one of `PLACEMENTS`.
        binary_shortcut: whether the 1x1 convolution of the shortcut is binary.
        groups: of the 3x3 convolution; 32 channels each, or a multiple.

    Shape:
        `[B, H, W, C]` -> `[B, H / stride, W / stride, filters]`.

    Raises:
        SparseBNNError: for an unknown module or placement, or groups that are too narrow.
    """
    if placement not in PLACEMENTS:
        raise SparseBNNError(
            f"Expected `placement` to be one of {', '.join(map(repr, PLACEMENTS))}, "
            f"got {placement!r}."
        )
    if binary_shortcut:
        shortcut = _binary_shortcut(x, filters, stride, layers, name)
    else:
        shortcut = downsampled(x, filters, stride, name)
    x = layers.conv(x, filters, strides=stride, groups=groups, name=name)
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    if placement == "before_shortcut":
        x = non_linear(x, non_linearity, f"{name}_f")
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    if placement == "after_shortcut":
        x = non_linear(x, non_linearity, f"{name}_f")
    return x


def _binary_shortcut(
    x: tf.Tensor, filters: int, stride: int, layers: BinaryLayers, name: str
) -> tf.Tensor:
    """`downsampled` with a binary 1x1 convolution."""
    if stride == 1 and filters == x.shape[-1]:
        return x
    prefix = f"{name}_shortcut"
    if stride > 1:
        x = keras.layers.AveragePooling2D(stride, padding="same", name=f"{prefix}_pool")(x)
    x = layers.conv(x, filters, 1, name=f"{prefix}_conv")
    return keras.layers.BatchNormalization(name=f"{prefix}_bn")(x)
