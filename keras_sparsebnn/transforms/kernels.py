"""The kernels of larq's layers: latent, quantized, and as they are deployed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import sparse_quantizer

__all__ = ["check_no_nan", "frozen_kernel", "latent_kernel", "quantized_kernel"]


def latent_kernel(layer: keras.layers.Layer) -> tf.Tensor:
    """The kernel that the optimizer trains.

    Shape:
        -> `[Kh, Kw, Cin / groups, Cout]`.
    """
    with lq.context.quantized_scope(False):
        return tf.convert_to_tensor(layer.kernel)


def quantized_kernel(layer: keras.layers.Layer) -> npt.NDArray[np.float32]:
    """The kernel that the layer convolves with.

    Shape:
        -> `[Kh, Kw, Cin / groups, Cout]`.
    """
    with lq.context.quantized_scope(True):
        return np.asarray(tf.convert_to_tensor(layer.kernel), np.float32)


def frozen_kernel(layer: keras.layers.Layer) -> npt.NDArray[np.float32]:
    """The layer's selected kernels, exactly as evaluation uses them.

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
    # Under mixed precision, evaluation assigns the rounded latents.
    latent = tf.cast(latent_kernel(layer), layer.compute_dtype)
    return np.asarray(tf.cast(quantizer(latent, training=False), tf.float32))


def check_no_nan(path: str, layer: keras.layers.Layer) -> None:
    """Raises a `SparseBNNError` that names the layer if one of its weights is NaN."""
    with lq.context.quantized_scope(False):
        for weight in layer.weights:
            if weight.dtype.is_floating and bool(
                tf.reduce_any(tf.math.is_nan(tf.convert_to_tensor(weight)))
            ):
                name = weight.name.rpartition("/")[2].partition(":")[0]
                raise SparseBNNError(
                    f"Expected weights that are numbers, got NaN in {name} (layer {path}). "
                    "Training diverged: train again, with a lower learning rate."
                )
