"""Replaces trained sparse layers by plain larq layers with +-1 kernels."""

from __future__ import annotations

from typing import Any

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import FoldedConv2D, SparseBinaryConv2D
from keras_sparsebnn.quantizers import SubsetKernel, sparse_quantizer
from keras_sparsebnn.quantizers.incremental import ALL_KERNELS
from keras_sparsebnn.transforms.cloning import check_replaceable, clone_with
from keras_sparsebnn.transforms.kernels import copy_own_weights, frozen_kernel, frozen_planes
from keras_sparsebnn.transforms.walk import all_layers

__all__ = ["freeze"]


def _in_float32(config: Any) -> Any:
    """A layer's config with every precision policy in it, nested ones too, set to float32."""
    if isinstance(config, list):
        return [_in_float32(item) for item in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") in ("Policy", "PolicyV1"):
        return "float32"
    return {key: _in_float32(value) for key, value in config.items()}


def freeze(model: keras.Model) -> keras.Model:
    """A float32 copy of `model` whose sparse layers are `QuantConv2D` with +-1 kernels.

    Nothing is left of the selection: no logits, no noise, no codebook. larq still counts the
    kernels as 1 bit. The model itself is unchanged. Predictions are the same, up to rounding
    if it was trained in mixed precision. An `AdaBinConv2D` or `MultiBitConv2D` becomes a nested
    model of its name, of plain layers, which rounds differently, too.

    Args:
        model: Sequential or functional. Nested models and wrappers such as `TimeDistributed`
            are fine.

    Raises:
        SparseBNNError: the model is subclassed, so that Keras cannot clone it, or not built; a
            layer is still in a stage before its codewords, has weights that are not finite, or
            has a codebook quantizer that cannot be replaced: inside a custom layer, or for
            another weight than the `kernel`.
    """

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer | None:
        quantizer = sparse_quantizer(layer)
        if quantizer is None:
            return None
        if not quantizer.is_restricted:
            by_hand = 'kernel_quantizer.enter("codewords", kernel)'
            if quantizer.stage == "codewords":  # of Incremental
                by_hand = f"kernel_quantizer.tolerance.assign({ALL_KERNELS:g})"
            raise SparseBNNError(
                f"Expected all kernels to be codewords, got others (layer {layer.name}, "
                f'stage "{quantizer.stage}"). Train it to the end of its schedules, or '
                f"call {by_hand}."
            )
        if isinstance(layer, FoldedConv2D):
            return layer.folded(_in_float32)
        # The kernel is binary already: mark it so, and leave it alone.
        config = _in_float32(layer.get_config())
        config["kernel_quantizer"] = lq.quantizers.NoOp(precision=1)
        config["kernel_constraint"] = None
        ours = isinstance(layer, SparseBinaryConv2D)
        return (lq.layers.QuantConv2D if ours else type(layer)).from_config(config)

    if isinstance(model, keras.Model):
        check_replaceable(model, lambda layer: sparse_quantizer(layer) is not None)
    policy = keras.mixed_precision.global_policy()
    # Quantizers and models take the global policy when they are made.
    keras.mixed_precision.set_global_policy("float32")
    try:
        frozen, pairs = clone_with(model, replace, configured=_in_float32)
    finally:
        keras.mixed_precision.set_global_policy(policy)
    for layer, copy in pairs:
        if isinstance(layer, FoldedConv2D):
            layer.fold_into(copy, frozen_planes(layer))
        elif sparse_quantizer(layer) is not None:
            copy_own_weights(layer, copy)
            with lq.context.quantized_scope(False):
                copy.kernel.assign(frozen_kernel(layer))
    for path, layer in all_layers(frozen):
        if isinstance(layer, SubsetKernel):
            raise SparseBNNError(
                "Expected codebook quantizers as the `kernel_quantizer` of convolutions, got "
                f"{type(layer).__name__} elsewhere (layer {path}). Use ste_sign there."
            )
    return frozen
