"""BCDNet: a binary MobileNet or ResNet that ends in binary MLP blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers, KernelQuantizer
from keras_sparsebnn.models.blocks.mlp_block import mlp_group
from keras_sparsebnn.models.blocks.mobilenet_block import mobilenet_block
from keras_sparsebnn.models.blocks.react_block import react_block
from keras_sparsebnn.models.blocks.residual_stages import (
    classifier,
    is_large,
    residual_stages,
    stem,
    stem_3x3,
)
from keras_sparsebnn.quantizers import SparseKernel

__all__ = ["bcd_resnet18", "bcdnet_a", "bcdnet_b"]


def bcdnet_a(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    codewords: int | Mapping[str, int] = 32,
    kernel_quantizer: KernelQuantizer = SparseKernel,
    activation_quantizer: lq.quantizers.Quantizer | str | None = "approx_sign",
    width: int = 32,
    depths: Sequence[int] = (1, 2, 2, 4, 1),
    mlp_groups: int = 3,
    shift: str = "circular",
    reduction: int | None = None,
    name: str = "bcdnet_a",
) -> keras.Model:
    """BCDNet-A: ten blocks of ReActNet-A, then binary MLPs at 1024 channels.

    Float 3x3 stem -> `mobilenet_block`s of 64, 128, 256, 512 and 1024 channels -> three groups
    of three `mlp_block`s and a `point_block` -> average pool -> dense.

    Every stage but the first has stride 2, and so has the stem. For images under 64 pixels the
    stem and the last stage have stride 1: of 32x32 the MLPs see 4x4, where ImageNet's see 7x7.

    Args:
        input_shape: height, width, channels of the images.
        classes: how many.
        codewords: n of the 3x3 layers, or a mapping of their names (`stage{s}_{index}`) and
            glob patterns to n. All 1x1 layers are 1-bit.
        kernel_quantizer: a name ("one_bit", "frequent"), a class (`SparseKernel`), a function
            of n, or None for float kernels; each layer gets a quantizer of its own.
        activation_quantizer: a sign; None for ReLU.
        width: channels of the stem, twice as many in the first stage; doubles from stage to
            stage. At least 4.
        depths: blocks of each stage.
        mlp_groups: how many groups of MLP blocks; the layers are named `mlp{group}_{index}`,
            see `mlp_block`.
        shift: "circular", as the public code, or "pad", of fewer operators in a file.
        reduction: r of a `DynamicEmbedding` in each layer of the stages; None for RSign.
        name: the model's name.

    Reference: Xing et al., "Towards Accurate Binary Neural Networks via Modeling Contextual
    Dependencies", ECCV 2022, arXiv:2209.01404, and its public code: 4.82e9 binary operations,
    71.8 % top-1 on ImageNet. Deviates: pads with +1; one classifier in the place of two, one of
    the labels and one of the teacher, whose mean the code takes, which is one in a file; the
    form for small images is ours.
    """
    images = keras.layers.Input(input_shape)
    large = is_large(images)
    x = stem_3x3(images, width, stride=2 if large else 1)
    widths = [2 * width * 2**stage for stage in range(len(depths))]
    strides = [1, *[2] * (len(depths) - 1)]
    if not large and len(depths) > 1:
        strides[-1] = 1
    with BinaryLayers(codewords, kernel_quantizer, activation_quantizer) as layers:
        block = partial(mobilenet_block, layers=layers, reduction=reduction)
        x = residual_stages(x, block, widths, depths, strides)
        x = _mlp_groups(x, mlp_groups, layers, shift)
    return keras.Model(images, classifier(x, classes), name=name)


def bcdnet_b(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    codewords: int | Mapping[str, int] = 32,
    kernel_quantizer: KernelQuantizer = SparseKernel,
    activation_quantizer: lq.quantizers.Quantizer | str | None = "approx_sign",
    width: int = 32,
    depths: Sequence[int] = (1, 2, 2, 4, 1),
    mlp_groups: int = 3,
    shift: str = "circular",
    reduction: int = 4,
    name: str = "bcdnet_b",
) -> keras.Model:
    """BCDNet-B: `bcdnet_a` whose thresholds the whole map decides on, see `DynamicEmbedding`.

    Arguments and reference as in `bcdnet_a`: 72.3 % top-1 on ImageNet. Deviates: its public
    code is not complete; that both layers of each block are dynamic is ours, and fits the
    published operations.
    """
    return bcdnet_a(
        input_shape,
        classes,
        codewords=codewords,
        kernel_quantizer=kernel_quantizer,
        activation_quantizer=activation_quantizer,
        width=width,
        depths=depths,
        mlp_groups=mlp_groups,
        shift=shift,
        reduction=reduction,
        name=name,
    )


def bcd_resnet18(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    codewords: int | Mapping[str, int] = 32,
    kernel_quantizer: KernelQuantizer = SparseKernel,
    activation_quantizer: lq.quantizers.Quantizer | str | None = "approx_sign",
    width: int = 64,
    depths: Sequence[int] = (4, 4, 4, 1),
    mlp_groups: int = 3,
    shift: str = "circular",
    reduction: int | None = None,
    name: str = "bcd_resnet18",
) -> keras.Model:
    """ReActNet's ResNet-18, with three groups of MLP blocks for its last three 3x3 layers.

    Three groups have 30/27 of the weights and operations of what they replace. Arguments as in
    `bcdnet_a`, width and depths as in `resnet18`: channels of the first stage, and 3x3 layers
    of each. `reduction=4` is form B.

    Reference: as `bcdnet_a`: 66.9 % top-1 on ImageNet, and 67.9 % as form B. Deviates: which
    layers the MLPs replace is not published; this choice is ours.
    """
    images = keras.layers.Input(input_shape)
    x = stem(images, width)
    widths = [width * 2**stage for stage in range(len(depths))]
    with BinaryLayers(codewords, kernel_quantizer, activation_quantizer) as layers:
        block = partial(react_block, layers=layers, reduction=reduction)
        x = residual_stages(x, block, widths, depths)
        x = _mlp_groups(x, mlp_groups, layers, shift)
    return keras.Model(images, classifier(x, classes), name=name)


def _mlp_groups(x: tf.Tensor, count: int, layers: BinaryLayers, shift: str) -> tf.Tensor:
    for group in range(count):
        x = mlp_group(x, layers=layers, name=f"mlp{group}", shift=shift)
    return x
