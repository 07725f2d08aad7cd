"""ResNet-18 with binary residual stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_sparsebnn._keras import keras
from keras_sparsebnn.models.bireal_block import bireal_block
from keras_sparsebnn.quantizers import SparseKernel

__all__ = ["resnet18"]


def resnet18(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    kernel_quantizer: Callable[[], Any] = SparseKernel,
    name: str = "resnet18",
) -> Any:
    """ResNet-18 in Bi-Real form: a shortcut around each of its 16 binary 3x3 layers.

    Float stem -> [sign -> binary 3x3 conv -> BN -> + shortcut] x 16 -> average pool -> dense.
    Stages of 64, 128, 256 and 512 channels, four layers each. Where the width grows, the
    stride is 2 and the shortcut is average pool + float 1x1 + BN. The stem is 7x7 with stride 2
    and a max pool for pictures of 64 pixels or more, else 3x3 with stride 1.

    Args:
        input_shape: height, width, channels of the pictures.
        classes: how many.
        kernel_quantizer: makes one quantizer a layer: `SparseKernel`, `FixedSubset`,
            `lambda: "ste_sign"`, ...
        name: the model's name.

    Reference: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
    arXiv:1512.03385; Liu et al., "Bi-Real Net", ECCV 2018, arXiv:1808.00278. Deviates: the
    small stem, as usual for CIFAR; `pad_values=1.0`, which LCE folds into the convolution.
    """
    layers = keras.layers
    pictures = layers.Input(input_shape)
    large = min(input_shape[:2]) >= 64
    x = layers.Conv2D(
        64,
        7 if large else 3,
        strides=2 if large else 1,
        padding="same",
        use_bias=False,
        name="stem",
    )(pictures)
    x = layers.BatchNormalization(name="stem_bn")(x)
    if large:
        x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for stage, filters in enumerate((64, 128, 256, 512)):
        for index in range(4):
            x = bireal_block(
                x, filters, kernel_quantizer=kernel_quantizer, name=f"stage{stage}_{index}"
            )
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    # Float32 whatever the policy: the loss needs the range.
    logits = layers.Dense(classes, dtype="float32", name="classifier")(x)
    return keras.Model(pictures, logits, name=name)
