"""A binary MobileNet of group convolutions, whose numbers of groups can be searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers, KernelQuantizer
from keras_sparsebnn.models.blocks.layer_groups import Groups, LayerGroups
from keras_sparsebnn.models.blocks.mobilenet_block import mobilenet_block
from keras_sparsebnn.models.blocks.residual_stages import (
    classifier,
    is_large,
    residual_stages,
    stem_3x3,
)
from keras_sparsebnn.quantizers import SparseKernel

__all__ = ["mobile_grouped"]


def mobile_grouped(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    groups: Groups = 1,
    codewords: int | Mapping[str, int] = 32,
    kernel_quantizer: KernelQuantizer = SparseKernel,
    activation_quantizer: lq.quantizers.Quantizer | str | None = "approx_sign",
    activation_bits: int = 1,
    weight_bits: int = 1,
    activation_range: str = "symmetric",
    width: int = 32,
    depths: Sequence[int] = (1, 2, 2, 6, 2),
    strides: Sequence[int] | None = None,
    name: str = "mobile_grouped",
) -> keras.Model:
    """MobileNet of binary group convolutions: a 3x3 and a 1x1 layer in each block.

    Float 3x3 stem -> `mobilenet_block`s of 64, 128, 256, 512 and 1024 channels -> average pool
    -> dense. A layer of g > 1 groups has a `ChannelShuffle` before its sign. With one group
    everywhere it is ReActNet-A.

    Args:
        input_shape: height, width, channels of the images.
        classes: how many.
        groups: one number for all layers, one for each, in their order (the 3x3 layer of a
            block before its 1x1 layer), a mapping of layer names and glob patterns, or
            "search": a supernet of `SearchableGroupsConv2D`, see `keras_sparsebnn.search`.
            A group has a multiple of 32 input channels.
        codewords: n of the 3x3 layers, or a mapping of their names (`stage{s}_{index}`) and
            glob patterns to n. 1x1 layers (`stage{s}_{index}_pw`) are 1-bit.
        kernel_quantizer: a name ("one_bit", "frequent"), a class (`SparseKernel`), a function
            of n, or None for float kernels; each layer gets a quantizer of its own.
        activation_quantizer: a sign; None for ReLU.
        activation_bits: of each binary layer, as the next two: see `MultiBitConv2D`.
        weight_bits: K times the bits, and M K times the operations.
        activation_range: "symmetric" or "unit".
        width: channels of the stem, twice as many in the first stage; doubles from stage to
            stage.
        depths: blocks of each stage.
        strides: of the stem and of each stage; if None, 2 in all but the first stage, and for
            images under 64 pixels also not in the stem and in the last stage.
        name: the model's name.

    Raises:
        SparseBNNError: for groups that do not fit the layers.

    Reference: Phan et al., "Binarizing MobileNet via Evolution-based Searching", CVPR 2020,
    arXiv:2005.06305, of which the abstract was read: group convolutions in the place of
    depthwise ones, whose numbers a search in a supernet finds. Deviates: the block is
    ReActNet's, arXiv:2003.03488, whose 1x1 layers have groups, too; the shuffle, and the form
    for small images, are ours.
    """
    images = keras.layers.Input(input_shape)
    if strides is None:
        last = 2 if is_large(images) else 1
        strides = [last, 1, *[2] * (len(depths) - 2), last][: len(depths) + 1]
    first, *others = strides
    x = stem_3x3(images, width, stride=first)
    widths = [2 * width * 2**stage for stage in range(len(depths))]
    bits = (activation_bits, weight_bits, activation_range)
    with BinaryLayers(
        codewords,
        kernel_quantizer,
        activation_quantizer,
        bits=bits,
        groups=LayerGroups(groups),
    ) as layers:
        x = residual_stages(x, partial(mobilenet_block, layers=layers), widths, depths, others)
    return keras.Model(images, classifier(x, classes), name=name)
