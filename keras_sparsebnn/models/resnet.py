"""ResNet-18, ResNet-34 and ResNet-20 with binary residual stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers, KernelQuantizer
from keras_sparsebnn.models.blocks.bireal_block import bireal_block
from keras_sparsebnn.models.blocks.react_block import react_block
from keras_sparsebnn.models.blocks.residual_stages import classifier, residual_stages, stem
from keras_sparsebnn.models.blocks.sizes import check_depths, check_widths
from keras_sparsebnn.quantizers import SparseKernel

__all__ = ["residual_network", "resnet18", "resnet20", "resnet34"]

_BLOCKS: dict[str, Callable[..., Any]] = {"react": react_block, "bireal": bireal_block}


def residual_network(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    widths: Sequence[int],
    depths: Sequence[int],
    codewords: int | Mapping[str, int] = 32,
    kernel_quantizer: KernelQuantizer = SparseKernel,
    activation_quantizer: lq.quantizers.Quantizer | str | None = "approx_sign",
    activation_bits: int = 1,
    weight_bits: int = 1,
    activation_range: str = "symmetric",
    block: str = "react",
    name: str = "residual_network",
) -> keras.Model:
    """Float stem -> stages of blocks with one binary 3x3 layer each -> pool -> dense.

    Where the width grows, the stride is 2 and the shortcut is average pool + float 1x1 + BN.
    The stem is 7x7 with stride 2 and a max pool for images of 64 pixels or more, else 3x3
    with stride 1.

    Args:
        input_shape: height, width, channels of the images.
        classes: how many.
        widths: channels of each stage.
        depths: binary layers of each stage; the layers are named `stage{s}_{index}`.
        codewords: n, or a mapping of layer names and glob patterns to n.
        kernel_quantizer: a name ("ste_sign", "frequent"), a class (`SparseKernel`), a function
            of n, or None for float kernels; each layer gets a quantizer of its own.
        activation_quantizer: a sign; None for ReLU.
        activation_bits: of each binary layer, as the next two: see `MultiBitConv2D`.
        weight_bits: K times the bits, and M K times the operations.
        activation_range: "symmetric" or "unit".
        block: "react" (RSign and RPReLU) or "bireal".
        name: the model's name.

    Raises:
        SparseBNNError: for an unknown block, or `codewords` that do not fit the layers.
    """
    if block not in _BLOCKS:
        raise SparseBNNError(
            f"Expected `block` to be one of {', '.join(map(repr, _BLOCKS))}, got {block!r}."
        )
    check_depths(depths)
    check_widths(widths)
    images = keras.layers.Input(input_shape)
    x = stem(images, widths[0])
    bits = (activation_bits, weight_bits, activation_range)
    with BinaryLayers(codewords, kernel_quantizer, activation_quantizer, bits=bits) as layers:
        x = residual_stages(x, partial(_BLOCKS[block], layers=layers), widths, depths)
    return keras.Model(images, classifier(x, classes), name=name)


def resnet18(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    width: int = 64,
    depths: Sequence[int] = (4, 4, 4, 4),
    name: str = "resnet18",
    **options: Any,
) -> keras.Model:
    """ResNet-18: 16 binary 3x3 layers in stages of 64, 128, 256 and 512 channels.

    Args:
        input_shape: height, width, channels of the images.
        classes: how many.
        width: channels of the first stage; doubles from stage to stage.
        depths: binary layers of each stage.
        name: the model's name.
        **options: see `residual_network`.

    Reference: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
    arXiv:1512.03385, with the block of ReActNet, arXiv:2003.03488, or of Bi-Real Net,
    arXiv:1808.00278. Deviates: the small stem, as usual for CIFAR; padding with +1.
    """
    widths = [width * 2**stage for stage in range(len(depths))]
    return residual_network(
        input_shape, classes, widths=widths, depths=depths, name=name, **options
    )


def resnet34(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    width: int = 64,
    depths: Sequence[int] = (6, 8, 12, 6),
    name: str = "resnet34",
    **options: Any,
) -> keras.Model:
    """ResNet-34: 32 binary 3x3 layers, in stages of 6, 8, 12 and 6.

    Arguments and reference as in `resnet18`.
    """
    widths = [width * 2**stage for stage in range(len(depths))]
    return residual_network(
        input_shape, classes, widths=widths, depths=depths, name=name, **options
    )


def resnet20(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    width: int = 16,
    depths: Sequence[int] = (6, 6, 6),
    name: str = "resnet20",
    **options: Any,
) -> keras.Model:
    """ResNet-20 for CIFAR: 18 binary 3x3 layers in stages of 16, 32 and 64 channels.

    So narrow that fewer codewords save no operations down to n = 64, see docs/networks.md.
    Arguments and reference as in `resnet18`; He et al., section 4.2. Deviates: a shortcut
    around each layer, with a float 1x1 convolution where the width grows.
    """
    widths = [width * 2**stage for stage in range(len(depths))]
    return residual_network(
        input_shape, classes, widths=widths, depths=depths, name=name, **options
    )
