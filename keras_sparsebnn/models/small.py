"""A small residual network for small images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers, KernelQuantizer
from keras_sparsebnn.models.blocks.bireal_block import bireal_block
from keras_sparsebnn.models.blocks.residual_stages import classifier, stem_3x3
from keras_sparsebnn.models.blocks.sizes import check_widths
from keras_sparsebnn.quantizers import SparseKernel

__all__ = ["small"]


def small(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    codewords: int | Mapping[str, int] = 32,
    kernel_quantizer: KernelQuantizer = SparseKernel,
    activation_quantizer: lq.quantizers.Quantizer | str | None = "approx_sign",
    activation_bits: int = 1,
    weight_bits: int = 1,
    activation_range: str = "symmetric",
    widths: Sequence[int] = (32, 32, 64, 64, 64),
    stem_stride: int | None = None,
    name: str = "small",
) -> keras.Model:
    """A Bi-Real network of five binary 3x3 layers, 32 to 64 channels.

    Float stem -> [sign -> binary 3x3 conv -> BN -> + shortcut] x 5 -> average pool -> dense.
    Where the width grows, the stride is 2 and the shortcut is average pool + float 1x1.

    Args:
        input_shape: height, width, channels of the images.
        classes: how many.
        codewords: n, or a mapping of layer names (`binary0`, ...) and glob patterns to n.
        kernel_quantizer: a name ("ste_sign", "frequent"), a class (`SparseKernel`), a function
            of n, or None for float kernels; each layer gets a quantizer of its own.
        activation_quantizer: a sign; None for ReLU.
        activation_bits: of each binary layer, as the next two: see `MultiBitConv2D`.
        weight_bits: K times the bits, and M K times the operations.
        activation_range: "symmetric" or "unit".
        widths: output channels of each binary layer.
        stem_stride: of the float stem; if None, 2 for images over 16 pixels, else 1.
        name: the model's name.

    Raises:
        SparseBNNError: `widths` are no numbers of channels, or `codewords` do not fit.
    """
    check_widths(widths)
    images = keras.layers.Input(input_shape)
    if stem_stride is None:
        stem_stride = 2 if min(input_shape[:2]) > 16 else 1
    x = stem_3x3(images, widths[0], stem_stride)
    bits = (activation_bits, weight_bits, activation_range)
    with BinaryLayers(codewords, kernel_quantizer, activation_quantizer, bits=bits) as layers:
        for index, filters in enumerate(widths):
            stride = 2 if filters != x.shape[-1] else 1
            x = bireal_block(x, filters, layers=layers, stride=stride, name=f"binary{index}")
    return keras.Model(images, classifier(x, classes), name=name)
