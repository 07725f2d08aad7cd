"""Networks: builders only, no training code.

Each is `builder(input_shape, classes, *, codewords=32, kernel_quantizer=SparseKernel,
activation_quantizer="approx_sign", name=..., ...)`. The float network of the same family, for
a teacher, is `builder(..., kernel_quantizer=None, activation_quantizer=None)`.
"""

from collections.abc import Callable
from typing import Any

from keras_sparsebnn.models.adabin import adabin18, adabin20
from keras_sparsebnn.models.bcdnet import bcd_resnet18, bcdnet_a, bcdnet_b
from keras_sparsebnn.models.ftbnn import ftbnn18, ftbnn18_grouped
from keras_sparsebnn.models.mobile_grouped import mobile_grouped
from keras_sparsebnn.models.oblivious import oblivious
from keras_sparsebnn.models.quicknet import quicknet
from keras_sparsebnn.models.resnet import residual_network, resnet18, resnet20, resnet34
from keras_sparsebnn.models.small import small
from keras_sparsebnn.models.sparks import sparks_deep, sparks_wide
from keras_sparsebnn.models.vgg import small_vgg, vgg_small

__all__ = [
    "MODELS",
    "adabin18",
    "adabin20",
    "bcd_resnet18",
    "bcdnet_a",
    "bcdnet_b",
    "ftbnn18",
    "ftbnn18_grouped",
    "mobile_grouped",
    "oblivious",
    "quicknet",
    "residual_network",
    "resnet18",
    "resnet20",
    "resnet34",
    "small",
    "small_vgg",
    "sparks_deep",
    "sparks_wide",
    "vgg_small",
]

MODELS: dict[str, Callable[..., Any]] = {
    "adabin18": adabin18,
    "adabin20": adabin20,
    "bcd_resnet18": bcd_resnet18,
    "bcdnet_a": bcdnet_a,
    "bcdnet_b": bcdnet_b,
    "ftbnn18": ftbnn18,
    "ftbnn18_grouped": ftbnn18_grouped,
    "mobile_grouped": mobile_grouped,
    "oblivious": oblivious,
    "quicknet": quicknet,
    "resnet18": resnet18,
    "resnet20": resnet20,
    "resnet34": resnet34,
    "small": small,
    "small_vgg": small_vgg,
    "sparks_deep": sparks_deep,
    "sparks_wide": sparks_wide,
    "vgg_small": vgg_small,
}
"""What `sparsebnn train --model` accepts."""
