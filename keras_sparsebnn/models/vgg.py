"""VGG-small, and a smaller one for experiments: plain stacks, bits from layer to layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers, KernelQuantizer
from keras_sparsebnn.quantizers import SparseKernel

__all__ = ["small_vgg", "vgg_small"]


def vgg_small(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    codewords: int | Mapping[str, int] = 32,
    kernel_quantizer: KernelQuantizer = SparseKernel,
    activation_quantizer: lq.quantizers.Quantizer | str | None = "approx_sign",
    activation_bits: int = 1,
    weight_bits: int = 1,
    activation_range: str = "symmetric",
    widths: Sequence[int] = (128, 256, 512),
    name: str = "vgg_small",
) -> keras.Model:
    """VGG-small: a float and five binary 3x3 layers, of 128 to 512 channels.

    [conv -> BN] x 2 -> max pool, three times; the very first convolution is float. Without
    shortcuts nothing needs floats: LCE hands bits from layer to layer, and pools bits.

    Args:
        input_shape: height, width, channels of the images.
        classes: how many.
        codewords: n, or a mapping of layer names (`conv0_1`, `conv1_0`, ...: stage and index)
            and glob patterns to n.
        kernel_quantizer: a name ("ste_sign", "frequent"), a class (`SparseKernel`), a function
            of n, or None for float kernels; each layer gets a quantizer of its own.
        activation_quantizer: a sign; None for ReLU.
        activation_bits: of each binary layer, as the next two: see `MultiBitConv2D`.
        weight_bits: K times the bits, and M K times the operations.
        activation_range: "symmetric" or "unit".
        widths: channels of each stage.
        name: the model's name.

    Reference: the network that binary networks' papers train on CIFAR-10 under this name,
    e.g. Qin et al., "IR-Net", CVPR 2020, arXiv:1909.10788 (the layer list is the one whose
    size and operations are published). Deviates: batch norm before the max pool, so that LCE
    pools bits; no Hardtanh, whose gradient mask `approx_sign` has; pads with +1.
    """
    images = keras.layers.Input(input_shape)
    x = images
    bits = (activation_bits, weight_bits, activation_range)
    with BinaryLayers(codewords, kernel_quantizer, activation_quantizer, bits=bits) as layers:
        for stage, filters in enumerate(widths):
            for index in range(2):
                layer = f"conv{stage}_{index}"
                if x is images:
                    x = keras.layers.Conv2D(
                        filters, 3, padding="same", use_bias=False, name="stem"
                    )(x)
                else:
                    x = layers.conv(x, filters, name=layer)
                x = keras.layers.BatchNormalization(name=f"{layer}_bn")(x)
            x = keras.layers.MaxPooling2D(2, name=f"pool{stage}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    # Float32 whatever the policy: the loss needs the range.
    logits = keras.layers.Dense(classes, dtype="float32", name="classifier")(x)
    return keras.Model(images, logits, name=name)


def small_vgg(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    widths: Sequence[int] = (32, 64, 128),
    name: str = "small_vgg",
    **options: Any,
) -> keras.Model:
    """`vgg_small` at a quarter of its width, for experiments: 29 M binary operations at 28x28.

    The last stage has four times as many outputs as the default n = 32, so that selection
    saves operations, too. Arguments and reference as in `vgg_small`.
    """
    return vgg_small(input_shape, classes, widths=widths, name=name, **options)
