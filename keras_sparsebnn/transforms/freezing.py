"""Trained sparse layers to plain larq layers with +-1 kernels."""

from __future__ import annotations

from typing import Any

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import sparse_quantizer
from keras_sparsebnn.transforms.cloning import clone_with

__all__ = ["freeze", "frozen_kernel"]


def frozen_kernel(layer: Any) -> Any:
    """The layer's selected kernels as a float32 array, exactly as evaluation uses them.

    Shape:
        -> `[k, k, Cin / groups, Cout]`, entries +-1 (+-alpha_o with `magnitude_scale`).

    Raises:
        SparseBNNError: the layer has no codebook quantizer.
    """
    quantizer = sparse_quantizer(layer)
    if quantizer is None:
        raise SparseBNNError(
            f"Expected a layer with a codebook quantizer, got {type(layer).__name__} "
            f"(layer {layer.name})."
        )
    with lq.context.quantized_scope(False):
        latent = tf.convert_to_tensor(layer.kernel)
    # Under mixed precision, evaluation assigns the rounded latents.
    latent = tf.cast(latent, layer.compute_dtype)
    return tf.cast(quantizer(latent, training=False), tf.float32).numpy()


def _in_float32(config: Any) -> Any:
    """A layer's config with every precision policy in it, nested ones too, set to float32."""
    if isinstance(config, list):
        return [_in_float32(item) for item in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") in ("Policy", "PolicyV1"):
        return "float32"
    return {key: _in_float32(value) for key, value in config.items()}


def freeze(model: Any) -> Any:
    """A float32 copy of `model` whose sparse layers are `QuantConv2D` with +-1 kernels.

    Nothing is left of the selection: no logits, no noise, no codebook. larq still counts the
    kernels as 1 bit. The model itself is unchanged. Predictions are the same, up to rounding
    if it was trained in mixed precision.

    Raises:
        SparseBNNError: the model is subclassed, so Keras cannot clone it, or not built, or a
            layer is still in a stage before its codewords.
    """

    def replace(layer: Any) -> Any:
        config = _in_float32(layer.get_config())
        quantizer = sparse_quantizer(layer)
        if quantizer is None:
            copy = type(layer).from_config(config)
        else:
            if not quantizer.is_restricted:
                raise SparseBNNError(
                    f"Expected all kernels to be codewords, got others (layer {layer.name}, "
                    f'stage "{quantizer.stage}"). Train it to the end of its schedules, or '
                    'call kernel_quantizer.enter("codewords", kernel).'
                )
            # The kernel is binary already: mark it so, and leave it alone.
            config["kernel_quantizer"] = lq.quantizers.NoOp(precision=1)
            config["kernel_constraint"] = None
            copy = lq.layers.QuantConv2D.from_config(config)
        return copy

    policy = keras.mixed_precision.global_policy()
    # Quantizers and models take the global policy when they are made.
    keras.mixed_precision.set_global_policy("float32")
    try:
        frozen, pairs = clone_with(model, replace)
    finally:
        keras.mixed_precision.set_global_policy(policy)
    for layer, copy in pairs:
        if sparse_quantizer(layer) is None:
            copy.set_weights(layer.get_weights())
        else:
            bias = [layer.bias.numpy()] if layer.use_bias else []
            copy.set_weights([frozen_kernel(layer), *bias])
    return frozen
