"""ResNet-18 and ResNet-20 of AdaBin's blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.layers import AdaBinConv2D, TwoSidedPReLU
from keras_sparsebnn.models.blocks.adabin_block import (
    adabin_block,
    padded_shortcut,
    standardizing,
)
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers, KernelQuantizer
from keras_sparsebnn.models.blocks.residual_stages import classifier, residual_stages, stem
from keras_sparsebnn.quantizers import SparseKernel

__all__ = ["adabin18", "adabin20"]


def adabin18(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    codewords: int | Mapping[str, int] = 32,
    kernel_quantizer: KernelQuantizer = SparseKernel,
    activation_quantizer: lq.quantizers.Quantizer | str | None = "approx_sign",
    center: bool = True,
    activation_set: str = "paper",
    width: int = 64,
    depths: Sequence[int] = (4, 4, 4, 4),
    name: str = "adabin18",
) -> keras.Model:
    """AdaBin's ResNet-18: 16 layers of adaptive binary sets, each followed by Maxout.

    Args:
        input_shape: height, width, channels of the images.
        classes: how many.
        codewords: n, or a mapping of layer names (`stage{s}_{index}`) and glob patterns to n.
        kernel_quantizer: a name ("one_bit", "frequent"), a class (`SparseKernel`), a function
            of n, or None for float kernels; each layer gets a quantizer of its own, which
            standardises its kernels: see `standardizing`.
        activation_quantizer: a sign; None for ReLU.
        center: of each `AdaBinConv2D`: whether weights have a centre, too.
        activation_set: of each `AdaBinConv2D`, "paper" or "code".
        width: channels of the first stage; doubles from stage to stage.
        depths: binary layers of each stage.
        name: the model's name.

    Reference: Tu et al., "AdaBin", ECCV 2022, arXiv:2208.08084, and its public code. Deviates:
    pads as `AdaBinConv2D`; shortcuts are average pool -> float 1x1 -> BN where the width grows,
    as in Bi-Real Net.
    """
    images = keras.layers.Input(input_shape)
    x = stem(images, width)
    conv = partial(AdaBinConv2D, center=center, activation_set=activation_set)
    widths = [width * 2**stage for stage in range(len(depths))]
    with BinaryLayers(
        codewords, standardizing(kernel_quantizer), activation_quantizer, convolution=conv
    ) as layers:
        x = residual_stages(x, partial(adabin_block, layers=layers), widths, depths)
    return keras.Model(images, classifier(x, classes), name=name)


def adabin20(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    codewords: int | Mapping[str, int] = 32,
    kernel_quantizer: KernelQuantizer = SparseKernel,
    activation_quantizer: lq.quantizers.Quantizer | str | None = "approx_sign",
    center: bool = True,
    activation_set: str = "paper",
    width: int = 16,
    depths: Sequence[int] = (6, 6, 6),
    name: str = "adabin20",
) -> keras.Model:
    """AdaBin's ResNet-20 for CIFAR: shortcuts without weights, and a Maxout after the stem.

    Arguments as in `adabin18`.

    Reference: as `adabin18`, whose code this follows: shortcuts of option A
    (`padded_shortcut`), batch norm before the classifier. Deviates: pads as `AdaBinConv2D`.
    """
    images = keras.layers.Input(input_shape)
    x = TwoSidedPReLU(name="stem_maxout")(stem(images, width))
    conv = partial(AdaBinConv2D, center=center, activation_set=activation_set)
    widths = [width * 2**stage for stage in range(len(depths))]
    with BinaryLayers(
        codewords, standardizing(kernel_quantizer), activation_quantizer, convolution=conv
    ) as layers:
        block = partial(adabin_block, layers=layers, shortcut=padded_shortcut)
        x = residual_stages(x, block, widths, depths)
    return keras.Model(images, classifier(x, classes, normalized=True), name=name)
