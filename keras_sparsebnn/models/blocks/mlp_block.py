"""BCDNet's binary MLP blocks."""

from __future__ import annotations

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.layers import ChannelShift, LearnableShift, RPReLU
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers
from keras_sparsebnn.models.blocks.react_block import react_conv

__all__ = ["mlp_block", "mlp_group", "point_block"]


def mlp_block(x: tf.Tensor, *, layers: BinaryLayers, name: str, shift: str) -> tf.Tensor:
    r"""Three binary 1x1 convolutions of a map, of its neighbours, and of what is far away.

    Forward, with `A = x + shift` (RSign's) and `S_d` a `ChannelShift` by d:

        y = RPReLU(x + BN(MLP0(A) + MLP1(S_1(A)) + MLP2(S_half(A))))
        MLP_i(A) = sign(A) * alpha_i sign(W_i),   alpha_i,o = mean |W_i,o|

    The first two together are one 3x3 convolution whose kernels have two taps in each input
    channel: the middle, and a neighbour that depends on the channel's quarter.

    Args:
        x: the input.
        layers: makes the binary convolutions; they are 1-bit, as a 1x1 kernel has but two
            codewords.
        name: of the first convolution, and the prefix of all others; the second and third are
            `{name}_near` and `{name}_far`.
        shift: "circular" or "pad", of both shifts.

    Shape:
        `[B, H, W, C]` -> the same.

    Reference: Xing et al., "BCDNet", ECCV 2022, arXiv:2209.01404, and its public code.
    Deviates: shifts the map before the sign, not after it, which is the same and folds.
    """
    shortcut = x
    x = LearnableShift(name=f"{name}_shift")(x)
    near = ChannelShift(1, shift, name=f"{name}_near_shift")(x)
    far = ChannelShift("half", shift, name=f"{name}_far_shift")(x)
    parts = [
        layers.conv(part, x.shape[-1], 1, scaled=True, name=f"{name}{suffix}")
        for part, suffix in ((x, ""), (near, "_near"), (far, "_far"))
    ]
    x = keras.layers.Add(name=f"{name}_sum")(parts)
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return RPReLU(name=f"{name}_rprelu")(x)


def point_block(x: tf.Tensor, *, layers: BinaryLayers, name: str) -> tf.Tensor:
    """`react_conv` 1x1 -> + shortcut -> RPReLU.

    Shape:
        `[B, H, W, C]` -> the same.

    Reference: as `mlp_block`.
    """
    y = react_conv(x, x.shape[-1], 1, layers=layers, name=name)
    y = keras.layers.Add(name=f"{name}_add")([y, x])
    return RPReLU(name=f"{name}_rprelu")(y)


def mlp_group(x: tf.Tensor, *, layers: BinaryLayers, name: str, shift: str) -> tf.Tensor:
    """Three `mlp_block`s, `{name}_0` to `{name}_2`, and a `point_block`, `{name}_3`.

    Shape:
        `[B, H, W, C]` -> the same.

    Reference: as `mlp_block`; the order is the code's.
    """
    for index in range(3):
        x = mlp_block(x, layers=layers, name=f"{name}_{index}", shift=shift)
    return point_block(x, layers=layers, name=f"{name}_3")
