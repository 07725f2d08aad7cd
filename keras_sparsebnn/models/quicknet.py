"""A network whose every binary layer is one fused LCE operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers, KernelQuantizer
from keras_sparsebnn.models.blocks.residual_stages import classifier, is_large
from keras_sparsebnn.models.blocks.sizes import check_depths, check_widths
from keras_sparsebnn.quantizers import SparseKernel

__all__ = ["quicknet"]


def quicknet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    codewords: int | Mapping[str, int] = 32,
    kernel_quantizer: KernelQuantizer = SparseKernel,
    activation_quantizer: lq.quantizers.Quantizer | str | None = "approx_sign",
    activation_bits: int = 1,
    weight_bits: int = 1,
    activation_range: str = "symmetric",
    widths: Sequence[int] = (64, 128, 256, 512),
    depths: Sequence[int] = (4, 4, 4, 4),
    name: str = "quicknet",
) -> keras.Model:
    """A QuickNet-like network: [sign -> binary conv -> ReLU -> BN -> + x], made for LCE.

    ReLU comes right after the convolution, where LCE fuses it: clamp, multiplier and bias are
    one operator, and only the addition is a float one between two binary layers. The stem is a
    3x3 convolution of few channels and a depthwise one, which together take a fraction of a
    7x7 stem's operations; they have stride 2 each for images of 64 pixels or more.

    Args:
        input_shape: height, width, channels of the images.
        classes: how many.
        codewords: n, or a mapping of layer names (`stage{s}_{index}`) and glob patterns to n.
        kernel_quantizer: a name ("ste_sign", "frequent"), a class (`SparseKernel`), a function
            of n, or None for float kernels; each layer gets a quantizer of its own. A
            `magnitude_scale` keeps ReLU from fusing.
        activation_quantizer: a sign; None for ReLU.
        activation_bits: of each binary layer, as the next two: see `MultiBitConv2D`.
        weight_bits: K times the bits, and M K times the operations.
        activation_range: "symmetric" or "unit".
        widths: channels of each stage, the first a multiple of 8.
        depths: binary layers of each stage.
        name: the model's name.

    Reference: Bannink et al., "Larq Compute Engine", MLSys 2021, arXiv:2011.09398, section
    5 (from memory of the paper), and larq-zoo's QuickNet. Deviates: transitions are ReLU ->
    max pool -> float 1x1 -> BN, without the paper's blur; pads with +1.
    """
    check_widths(widths)
    check_depths(depths)
    layers_ = keras.layers
    images = layers_.Input(input_shape)
    stride = 2 if is_large(images) else 1
    x = layers_.Conv2D(
        widths[0] // 8, 3, strides=stride, padding="same", use_bias=False, name="stem"
    )(images)
    x = layers_.BatchNormalization(name="stem_bn")(x)
    x = layers_.ReLU(name="stem_relu")(x)
    x = layers_.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same",
        depth_multiplier=8,
        use_bias=False,
        name="stem_depthwise",
    )(x)
    x = layers_.BatchNormalization(name="stem_depthwise_bn")(x)
    bits = (activation_bits, weight_bits, activation_range)
    with BinaryLayers(codewords, kernel_quantizer, activation_quantizer, bits=bits) as layers:
        for stage, (filters, depth) in enumerate(zip(widths, depths, strict=True)):
            if stage:
                x = _transition(x, filters, f"transition{stage}")
            for index in range(depth):
                block = f"stage{stage}_{index}"
                y = layers.conv(x, filters, activation="relu", name=block)
                y = layers_.BatchNormalization(name=f"{block}_bn")(y)
                x = layers_.Add(name=f"{block}_add")([x, y])
    x = layers_.ReLU(name="last_relu")(x)
    return keras.Model(images, classifier(x, classes), name=name)


def _transition(x: tf.Tensor, filters: int, name: str) -> tf.Tensor:
    """Half the size, another width: ReLU -> max pool -> float 1x1 -> batch norm."""
    x = keras.layers.ReLU(name=f"{name}_relu")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
    x = keras.layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_conv")(x)
    return keras.layers.BatchNormalization(name=f"{name}_bn")(x)
