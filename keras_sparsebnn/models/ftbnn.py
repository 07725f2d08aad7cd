"""ResNet-18 of FTBNN's blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers, KernelQuantizer
from keras_sparsebnn.models.blocks.ftbnn_block import ftbnn_block, non_linear
from keras_sparsebnn.models.blocks.residual_stages import (
    classifier,
    is_large,
    residual_stages,
    stem,
    stem_3x3,
)
from keras_sparsebnn.quantizers import SparseKernel

__all__ = ["ftbnn18", "ftbnn18_grouped"]


def ftbnn18(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    codewords: int | Mapping[str, int] = 32,
    kernel_quantizer: KernelQuantizer = SparseKernel,
    activation_quantizer: lq.quantizers.Quantizer | str | None = "approx_sign",
    activation_bits: int = 1,
    weight_bits: int = 1,
    activation_range: str = "symmetric",
    non_linearity: str | None = "prelu",
    placement: str = "after_shortcut",
    binary_shortcuts: bool = False,
    binary_stem: bool = False,
    groups: int = 1,
    width: int = 64,
    depths: Sequence[int] = (4, 4, 4, 4),
    name: str = "ftbnn18",
) -> keras.Model:
    """FTBNN's baseline: ResNet-18's 16 binary layers, each followed by a non-linear module.

    Args:
        input_shape: height, width, channels of the images.
        classes: how many.
        codewords: n, or a mapping of layer names (`stage{s}_{index}`, `stem_binary`) and glob
            patterns to n.
        kernel_quantizer: a name ("ste_sign", "frequent"), a class (`SparseKernel`), a function
            of n, or None for float kernels; each layer gets a quantizer of its own.
        activation_quantizer: a sign; None for ReLU.
        activation_bits: of each binary layer, as the next two: see `MultiBitConv2D`.
        weight_bits: K times the bits, and M K times the operations.
        activation_range: "symmetric" or "unit".
        non_linearity: "prelu", "two_sided_prelu", "hardtanh", "relu" or None.
        placement: "after_shortcut" or "before_shortcut".
        binary_shortcuts: binary 1x1 convolutions in the three shortcuts that need one.
        binary_stem: a float 3x3 convolution of half the width, and a binary 3x3 one, instead
            of the float stem; stride 2 each for images of 64 pixels or more.
        groups: of each 3x3 binary layer but the stem's.
        width: channels of the first stage; doubles from stage to stage.
        depths: binary layers of each stage.
        name: the model's name.

    Reference: see `models.blocks.ftbnn_block`. Deviates: the binary stem's layout is ours.
    """
    block = partial(
        ftbnn_block,
        non_linearity=non_linearity,
        placement=placement,
        binary_shortcut=binary_shortcuts,
        groups=groups,
    )
    images = keras.layers.Input(input_shape)
    bits = (activation_bits, weight_bits, activation_range)
    with BinaryLayers(codewords, kernel_quantizer, activation_quantizer, bits=bits) as layers:
        if binary_stem:
            x = _binary_stem(images, width, layers, non_linearity)
        else:
            x = stem(images, width)
        widths = [width * 2**stage for stage in range(len(depths))]
        x = residual_stages(x, partial(block, layers=layers), widths, depths)
    return keras.Model(images, classifier(x, classes), name=name)


def ftbnn18_grouped(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    groups: int = 4,
    width: int = 128,
    binary_shortcuts: bool = True,
    binary_stem: bool = True,
    name: str = "ftbnn18_grouped",
    **options: Any,
) -> keras.Model:
    """`ftbnn18` twice as wide in four groups, with binary shortcuts and stem.

    Its 3x3 layers in the stages have as many weights as `ftbnn18`'s. LCE's optimised kernel
    refuses grouped layers; its reference kernel and the delegate run them. Arguments as in
    `ftbnn18`.
    """
    return ftbnn18(
        input_shape,
        classes,
        groups=groups,
        width=width,
        binary_shortcuts=binary_shortcuts,
        binary_stem=binary_stem,
        name=name,
        **options,
    )


def _binary_stem(
    images: tf.Tensor, width: int, layers: BinaryLayers, non_linearity: str | None
) -> tf.Tensor:
    stride = 2 if is_large(images) else 1
    x = stem_3x3(images, width // 2, stride)
    x = non_linear(x, non_linearity, "stem_f")
    x = layers.conv(x, width, strides=stride, name="stem_binary")
    x = keras.layers.BatchNormalization(name="stem_binary_bn")(x)
    return non_linear(x, non_linearity, "stem_binary_f")
