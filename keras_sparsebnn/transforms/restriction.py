"""Restricts trained 1-bit networks to n codewords per layer, for further training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import (
    RBONN,
    FacilityLocation,
    KernelQuantizer,
    SubsetKernel,
    make_quantizer,
)
from keras_sparsebnn.quantizers.layer_codewords import LayerCodewords
from keras_sparsebnn.quantizers.methods import METHODS
from keras_sparsebnn.transforms.binarity import has_binary_kernel
from keras_sparsebnn.transforms.cloning import check_replaceable, clone_with
from keras_sparsebnn.transforms.kernels import copy_own_weights, latent_kernel
from keras_sparsebnn.transforms.walk import all_layers

__all__ = ["replaced_options", "restrict"]

# larq's binary kernel quantizers, and what they are called as options of ours.
_OPTIONS: dict[type, Callable[[Any], dict[str, Any]]] = {
    lq.quantizers.SteSign: lambda q: {"clip_value": q.clip_value},
    lq.quantizers.ApproxSign: lambda q: {"gradient": "approx"},
    lq.quantizers.MagnitudeAwareSign: lambda q: {
        "clip_value": q.clip_value,
        "magnitude_scale": True,
    },
}


_ALIASES = ", ".join(method.alias for method in METHODS.values())


def replaced_options(layer: keras.layers.Layer) -> dict[str, Any] | None:
    """Arguments of a quantizer that follows the layer's own; None: `restrict` leaves it."""
    quantizer = getattr(layer, "kernel_quantizer", None)
    if isinstance(quantizer, RBONN):  # kernels have its scales
        return None
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
    model: keras.Model,
    codewords: int | Mapping[str, int] = 32,
    *,
    kernel_quantizer: KernelQuantizer = FacilityLocation,
) -> keras.Model:
    r"""A copy of a trained 1-bit `model` whose binary 3x3 kernels are n codewords per layer.

    Every `QuantConv2D` with a 3x3 kernel and larq's `ste_sign`, `approx_sign` or
    `magnitude_aware_sign`, or our `OneBit`, gets a quantizer of this package instead, already
    in its last stage. It chooses codewords from the layer's latent kernels `w_c`, by default

        U = argmax_U sum_c max_{u in U} <u, w_c>,    what_c = argmax_{u in U} <u, w_c>.

    All weights are kept, so that training can go on; without further training, accuracy
    suffers. docs/results.md compares ways of choosing. Other layers stay as they are.

    Args:
        model: built, Sequential or functional; unchanged.
        codewords: n, a power of two in [2, 256]; or a mapping of layer names and patterns to n
            (see `allocate`), where 512 leaves a layer as it is.
        kernel_quantizer: a name ("frequent"), a class, or a function of `(codewords,
            starts_as="sign", ...)`, the other options being those of the quantizer replaced.

    Raises:
        SparseBNNError: nothing to restrict, a model that cannot be cloned, a layer to
            restrict inside a custom layer, weights that are not finite, or a mapping that
            misses a layer or has a key for none.
        ValueError: for an impossible `codewords`.

    Example:
        >>> from keras_sparsebnn.models import small
        >>> model = small((8, 8, 1), 10, kernel_quantizer="ste_sign")
        >>> restrict(model, 16).get_layer("binary0").kernel_quantizer.codewords
        16
    """

    codewords_of = LayerCodewords(codewords)
    by_layer = isinstance(codewords, Mapping)

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer | None:
        options = replaced_options(layer)
        if options is None:
            return None
        n = codewords_of(layer.name)
        if by_layer and n == 512:
            return None
        config = layer.get_config()
        made = make_quantizer(kernel_quantizer, n, starts_as="sign", **options)
        if not isinstance(made, SubsetKernel):
            raise SparseBNNError(
                "Expected `kernel_quantizer` to make a quantizer with codewords, got "
                f"{type(made).__name__}. Use one of {_ALIASES}."
            )
        config["kernel_quantizer"] = made
        return type(layer).from_config(config)

    if isinstance(model, keras.Model):
        check_replaceable(model, lambda layer: replaced_options(layer) is not None)
    restricted, pairs = clone_with(model, replace)
    candidates = [pair for pair in pairs if replaced_options(pair[0]) is not None]
    if not candidates:
        raise SparseBNNError(_nothing_to_restrict(model))
    codewords_of.check_every_key_was_used()
    for layer, copy in candidates:
        if by_layer and codewords_of(layer.name) == 512:
            continue
        latent = latent_kernel(layer)
        copy_own_weights(layer, copy)  # those of its quantizer begin anew
        copy.kernel_quantizer.enter("codewords", latent)
    return restricted


def _nothing_to_restrict(model: keras.Model) -> str:
    """Why, in one line."""
    expected = (
        "Expected a binary 3x3 convolution of ste_sign, approx_sign, magnitude_aware_sign or "
        "OneBit kernels, got"
    )
    for path, layer in all_layers(model):
        quantizer = getattr(layer, "kernel_quantizer", None)
        if isinstance(quantizer, SubsetKernel) and not quantizer.covers_codebook:
            return f"{expected} codewords of {type(quantizer).__name__} already (layer {path})."
        if has_binary_kernel(layer):
            kind = getattr(quantizer, "__name__", type(quantizer).__name__)
            size = "x".join(map(str, getattr(layer, "kernel_size", ())))
            return (
                f"{expected} {type(layer).__name__} {size} with {kind} (layer {path}). Train "
                "it with one of these quantizers."
            )
    return f"{expected} none (model {model.name}). Train it as a 1-bit network first."
