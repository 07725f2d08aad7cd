"""A network that can run without either side seeing the other's data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.layers import Thermometer
from keras_sparsebnn.models.blocks.binary_layers import BinaryLayers, KernelQuantizer
from keras_sparsebnn.models.blocks.sizes import check_widths
from keras_sparsebnn.quantizers import SparseKernel

__all__ = ["oblivious"]


def oblivious(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    codewords: int | Mapping[str, int] = 32,
    kernel_quantizer: KernelQuantizer = SparseKernel,
    activation_quantizer: lq.quantizers.Quantizer | str | None = "approx_sign",
    levels: int = 8,
    widths: Sequence[int] = (32, 64, 64),
    name: str = "oblivious",
) -> keras.Model:
    """Bits from the image to the scores: for `sparsebnn oblivious`.

    Thermometer bits of pixels -> [binary 3x3 conv -> BN -> max pool] x 3 -> binary conv over
    the whole map, with a bias. No stem, no shortcuts, and one scale for all scores, so that LCE
    folds everything into thresholds, and the circuit has only bit counts, comparisons and ANDs.
    A map is pooled as long as its sides have 4 pixels or more.

    Args:
        input_shape: height, width, channels of the images.
        classes: how many.
        codewords: n, or a mapping of layer names (`conv0`, ...) and glob patterns to n. Train
            with `--recipe oblivious`, whose kernels are free: a circuit gains nothing by
            codewords, and a public choice of them tells the client about the weights.
        kernel_quantizer: a name ("one_bit", "ste_sign"), a class, a function of n, or None for
            float kernels; each 3x3 layer gets a quantizer of its own. The scores' kernels, as
            large as the map, are plain signs.
        activation_quantizer: a sign; None for ReLU.
        levels: bits for each channel of a pixel.
        widths: channels of each stage.
        name: the model's name.

    Reference: the layers that FOBNN's circuits are for, Chen et al., arXiv:2405.03136, of which
    only the abstract could be read; the layout is ours.
    """
    check_widths(widths)
    images = keras.layers.Input(input_shape)
    x = Thermometer(levels, name="thermometer")(images)
    with BinaryLayers(codewords, kernel_quantizer, activation_quantizer) as layers:
        for stage, filters in enumerate(widths):
            x = layers.conv(x, filters, name=f"conv{stage}")
            x = keras.layers.BatchNormalization(name=f"conv{stage}_bn")(x)
            if min(x.shape[1:3]) >= 4:
                x = keras.layers.MaxPooling2D(2, name=f"pool{stage}")(x)
    taps = math.prod(x.shape[1:])
    x = _scores(x, classes, kernel_quantizer is not None, activation_quantizer)
    x = keras.layers.Flatten(name="flatten")(x)
    # Sums of as many signs as there are taps. Float32 whatever the policy: the loss needs it.
    logits = keras.layers.Rescaling(taps**-0.5, dtype="float32", name="classifier")(x)
    return keras.Model(images, logits, name=name)


def _scores(
    x: tf.Tensor,
    classes: int,
    binary: bool,
    activation_quantizer: lq.quantizers.Quantizer | str | None,
) -> tf.Tensor:
    """Each class's sum over the map, and its bias: `[B, H, W, C]` -> `[B, 1, 1, classes]`."""
    window = tuple(x.shape[1:3])
    if activation_quantizer is None:
        x = keras.layers.ReLU(name="scores_relu")(x)
        if not binary:
            return keras.layers.Conv2D(classes, window, name="scores")(x)
    options = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
    return lq.layers.QuantConv2D(
        classes,
        window,
        input_quantizer=activation_quantizer,
        **(options if binary else {}),
        name="scores",
    )(x)
