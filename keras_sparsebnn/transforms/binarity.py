"""Which layers have binary kernels, and which of those a converted file runs as 1-bit."""

from __future__ import annotations

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.layers import MultiBitConv2D
from keras_sparsebnn.quantizers import OddIntegers

__all__ = ["has_binary_kernel", "stays_float"]

# Layers' quantizers of kernels, by attribute.
_KERNEL_QUANTIZERS = (
    *("kernel_quantizer", "depthwise_quantizer", "pointwise_quantizer"),
    "recurrent_quantizer",
)

# Of precision 1, but with values other than +-1 (a scale per channel is fine in kernels).
_NO_SIGN = (lq.quantizers.SteHeaviside, lq.quantizers.DoReFa)
_NO_INPUT_SIGN = (*_NO_SIGN, lq.quantizers.MagnitudeAwareSign)

# Layers that do nothing in inference.
_IDENTITIES = (
    *(keras.layers.Dropout, keras.layers.SpatialDropout2D),
    *(keras.layers.GaussianDropout, keras.layers.GaussianNoise),
)

_WORD = 32  # channels that LCE packs into one word


def has_binary_kernel(layer: keras.layers.Layer) -> bool:
    """Whether a kernel of the layer has a quantizer of precision 1."""
    return any(_is_one_bit(getattr(layer, name, None)) for name in _KERNEL_QUANTIZERS)


def stays_float(layer: keras.layers.Layer) -> str | None:
    """Why a layer with binary kernels runs in float after conversion.

    Larq Compute Engine has one binary operator, a 2D convolution of binary kernels with binary
    inputs; everything else with binary kernels becomes a float operator, as large and as slow
    as any.

    Args:
        layer: any layer. If it takes its signs from the layer before it, it has to be part
            of a model for this to be seen.

    Returns:
        The reason, in a few words; None if it runs as 1-bit, or has no binary kernel.

    Example:
        >>> stays_float(lq.layers.QuantDense(
        ...     4, kernel_quantizer="ste_sign", kernel_constraint="weight_clip"))
        'QuantDense has no binary operator, only 2D convolutions have'
    """
    if not has_binary_kernel(layer):
        return None
    if not isinstance(layer, keras.layers.Conv2D) or isinstance(
        layer, keras.layers.Conv2DTranspose
    ):
        return f"{type(layer).__name__} has no binary operator, only 2D convolutions have"
    if isinstance(layer.kernel_quantizer, _NO_SIGN):
        return f"{type(layer.kernel_quantizer).__name__} kernels are not +1 and -1"
    quantizer = layer.input_quantizer
    if isinstance(layer, MultiBitConv2D):
        quantizer = lq.quantizers.SteSign()  # of each branch
    if quantizer is None:
        if not _gets_signs(layer):
            return "it has no input quantizer, so its inputs are floats"
    elif not _gives_signs(quantizer):
        return f"its inputs are not +1 and -1 ({_name(quantizer)})"
    if layer.groups > 1 and layer.built:
        channels = int(layer.kernel.shape[2])
        if channels % _WORD:
            return f"its groups have {channels} input channels, not a multiple of {_WORD}"
    if (
        layer.padding == "same"
        and layer.pad_values not in (0, 1)
        and max(layer.kernel_size) > 1
    ):
        return f"it pads with {layer.pad_values:g}, not with 0 or 1"
    return None


def _is_one_bit(quantizer: object) -> bool:
    return getattr(quantizer, "precision", None) == 1


def _gives_signs(quantizer: object) -> bool:
    unit = isinstance(quantizer, OddIntegers) and quantizer.value_range == "unit"
    return _is_one_bit(quantizer) and not unit and not isinstance(quantizer, _NO_INPUT_SIGN)


def _name(quantizer: object) -> str:
    return str(getattr(quantizer, "__name__", type(quantizer).__name__))


def _gets_signs(layer: keras.layers.Layer) -> bool:
    """Whether every tensor that the layer is called with in its model comes from a sign."""
    producers = [
        producer
        for node in layer.inbound_nodes
        for producer in tf.nest.flatten(node.inbound_layers)
    ]
    return bool(producers) and all(
        _gets_signs(producer)
        if isinstance(producer, _IDENTITIES)
        else _gives_signs(producer) or _gives_signs(getattr(producer, "activation", None))
        for producer in producers
    )
