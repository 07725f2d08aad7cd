"""Trained 1-bit networks to networks of n codewords a layer, ready to be trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_sparsebnn._keras import lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import FacilityLocation, SubsetKernel
from keras_sparsebnn.transforms.cloning import clone_with

__all__ = ["restrict"]

# larq's binary kernel quantizers, and what they are called as options of ours.
_OPTIONS: dict[type, Callable[[Any], dict[str, Any]]] = {
    lq.quantizers.SteSign: lambda q: {"clip_value": q.clip_value},
    lq.quantizers.ApproxSign: lambda q: {"gradient": "approx"},
    lq.quantizers.MagnitudeAwareSign: lambda q: {
        "clip_value": q.clip_value,
        "magnitude_scale": True,
    },
}


def _options(layer: Any) -> dict[str, Any] | None:
    """Arguments of a quantizer that follows the layer's own; None: not ours to replace."""
    quantizer = getattr(layer, "kernel_quantizer", None)
    if isinstance(quantizer, SubsetKernel):
        if not quantizer.covers_codebook and quantizer.stage == "codewords":
            return None
        names = ("clip_value", "gradient", "standardize", "magnitude_scale")
        options = {name: getattr(quantizer, name) for name in names}
    else:
        known = _OPTIONS.get(type(quantizer))
        if known is None:
            return None
        options = known(quantizer)
    is_3x3 = isinstance(layer, lq.layers.QuantConv2D) and layer.kernel_size == (3, 3)
    return options if is_3x3 else None


def restrict(
    model: Any,
    codewords: int = 32,
    *,
    kernel_quantizer: Callable[..., SubsetKernel] = FacilityLocation,
) -> Any:
    r"""A copy of a trained 1-bit `model` whose binary 3x3 kernels are n codewords a layer.

    Every `QuantConv2D` with a 3x3 kernel and larq's `ste_sign`, `approx_sign` or
    `magnitude_aware_sign`, or our `OneBit`, gets a quantizer of this package instead, already
    in its last stage. It chooses codewords from the layer's latent kernels `w_c`, by default

        U = argmax_U sum_c max_{u in U} <u, w_c>,    what_c = argmax_{u in U} <u, w_c>.

    All weights are kept, so training can go on from there; without it, accuracy suffers.
    docs/results.md compares ways of choosing. Other layers stay as they are.

    Args:
        model: built, Sequential or functional; unchanged.
        codewords: n, a power of two in [2, 256].
        kernel_quantizer: makes one from `(codewords, starts_as="sign", ...)`, the other options
            being those of the quantizer that it replaces: a class, or a function of one's own.

    Raises:
        SparseBNNError: nothing to restrict, or a model that cannot be cloned.
        ValueError: for an impossible `codewords`.

    Example:
        >>> from keras_sparsebnn.models import small
        >>> model = small((8, 8, 1), 10, kernel_quantizer=lambda n: "ste_sign")
        >>> restrict(model, 16).get_layer("binary0").kernel_quantizer.codewords
        16
    """

    def replace(layer: Any) -> Any:
        options = _options(layer)
        if options is None:
            return None
        config = layer.get_config()
        config["kernel_quantizer"] = kernel_quantizer(codewords, starts_as="sign", **options)
        return type(layer).from_config(config)

    restricted, pairs = clone_with(model, replace)
    replaced = [(layer, copy) for layer, copy in pairs if _options(layer) is not None]
    if not replaced:
        raise SparseBNNError(
            "Expected a binary 3x3 convolution of ste_sign, approx_sign, magnitude_aware_sign "
            f"or OneBit kernels, got none (model {model.name}). Train it as a 1-bit network "
            "first."
        )
    for layer, copy in replaced:
        with lq.context.quantized_scope(False):
            latent = tf.convert_to_tensor(layer.kernel)
            copy.kernel.assign(latent)
        if layer.use_bias:
            copy.bias.assign(layer.bias)
        copy.kernel_quantizer.enter("codewords", latent)
    return restricted
