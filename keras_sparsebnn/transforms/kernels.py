"""The kernels of larq's layers: latent, quantized, and as they are deployed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import MultiBitConv2D, SearchableGroupsConv2D
from keras_sparsebnn.quantizers import sparse_quantizer

__all__ = [
    "check_finite",
    "copy_own_weights",
    "frozen_kernel",
    "frozen_planes",
    "latent_kernel",
    "quantized_kernel",
]


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

    Of a layer of several weight bits, those of the highest; of one whose groups are searched,
    those of its choice.

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
    kernel = np.asarray(tf.cast(quantizer(latent, training=False), tf.float32))
    return layer.sliced(kernel) if isinstance(layer, SearchableGroupsConv2D) else kernel


def frozen_planes(layer: keras.layers.Layer) -> list[npt.NDArray[np.float32]]:
    """The layer's binary kernels: one `frozen_kernel`, or one for each weight bit.

    Raises:
        SparseBNNError: as `frozen_kernel`.
    """
    if isinstance(layer, MultiBitConv2D):
        return [plane.numpy() for plane in layer.binary_planes(training=False)]
    return [frozen_kernel(layer)]


def copy_own_weights(layer: keras.layers.Layer, copy: keras.layers.Layer) -> None:
    """Copies all weights of a convolution but the state of its kernel quantizer."""

    def own(conv: keras.layers.Layer) -> list[tf.Variable]:
        state = {id(weight) for weight in conv.kernel_quantizer.weights}
        return [weight for weight in conv.weights if id(weight) not in state]

    with lq.context.quantized_scope(False):
        for weight, of_copy in zip(own(layer), own(copy), strict=True):
            of_copy.assign(tf.cast(tf.convert_to_tensor(weight), of_copy.dtype))


def check_finite(
    path: str, layer: keras.layers.Layer, error: type[SparseBNNError] = SparseBNNError
) -> None:
    """Raises `error`, which names the layer, if one of its weights is NaN or infinite."""
    with lq.context.quantized_scope(False):
        for weight in layer.weights:
            values = np.asarray(tf.convert_to_tensor(weight))
            if weight.dtype.is_floating and not np.isfinite(values).all():
                what = "NaN" if np.isnan(values).any() else "infinity"
                name = weight.name.rpartition("/")[2].partition(":")[0]
                raise error(
                    f"Expected finite weights, got {what} in {name} (layer {path}). Training "
                    "diverged: go back to an earlier checkpoint, or train with a smaller "
                    "learning rate."
                )
