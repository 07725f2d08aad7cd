"""How often a layer uses each codeword of the codebook."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import sparse_quantizer
from keras_sparsebnn.transforms.kernels import frozen_planes, quantized_kernel
from keras_sparsebnn.transforms.walk import all_layers

__all__ = ["binary_layers", "codeword_counts", "kernel_patterns", "usage_entropy"]


def _is_binary_convolution(layer: keras.layers.Layer) -> bool:
    quantizer = getattr(layer, "kernel_quantizer", None)
    if getattr(quantizer, "precision", None) != 1 or not isinstance(layer, keras.layers.Conv2D):
        return False
    height, width = layer.kernel_size
    return height == width and height in codebook.KERNEL_SIZES


def binary_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The model's binary k x k convolutions, k <= 3, in order, wherever they are in it.

    A layer counts if its kernel quantizer has `precision = 1`: a codebook quantizer, any of
    larq's binary ones, or what `freeze` leaves.
    """
    return [layer for _, layer in all_layers(model) if _is_binary_convolution(layer)]


def kernel_patterns(layer: keras.layers.Layer) -> npt.NDArray[np.int64]:
    """The codeword id of every kernel, as evaluation uses it.

    Shape:
        kernel `[k, k, Cin / groups, Cout]` -> `[Cin / groups, Cout]`; `[K Cin / groups, Cout]`
        for K bits a weight, the highest first.

    Raises:
        SparseBNNError: the layer is not a binary 1x1, 2x2 or 3x3 convolution, or not built.
    """
    if not _is_binary_convolution(layer):
        raise SparseBNNError(
            "Expected a convolution with a binary 1x1, 2x2 or 3x3 kernel, got "
            f"{type(layer).__name__} (layer {getattr(layer, 'name', '?')}). "
            "Give it a kernel quantizer of precision 1."
        )
    if not layer.built:
        raise SparseBNNError(
            f"Expected a built layer, got {layer.name} without weights. "
            "Call the model once, or model.build(input_shape)."
        )
    sparse = sparse_quantizer(layer) is not None
    planes = frozen_planes(layer) if sparse else [quantized_kernel(layer)]
    kernel = np.concatenate(planes, axis=2)
    k, _, channels_in, channels_out = kernel.shape
    flat = kernel.reshape(k * k, channels_in, channels_out)
    return codebook.encode(np.moveaxis(flat, 0, -1), k)


def codeword_counts(layer: keras.layers.Layer) -> npt.NDArray[np.int64]:
    """How many of the layer's kernels use each codeword.

    Shape:
        kernel `[k, k, Cin / groups, Cout]` -> `[N]`, sums to `K Cin / groups * Cout`.

    Raises:
        SparseBNNError: as `kernel_patterns`.

    Example:
        >>> import larq as lq
        >>> layer = lq.layers.QuantConv2D(
        ...     2, 3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip",
        ...     kernel_initializer="ones")
        >>> layer.build((None, 8, 8, 4))
        >>> codeword_counts(layer)[:2].tolist()
        [8, 0]
    """
    patterns = kernel_patterns(layer)
    return np.bincount(patterns.ravel(), minlength=codebook.codebook_size(layer.kernel_size[0]))


def usage_entropy(counts: npt.ArrayLike) -> float:
    r"""`-sum_i p_i log2 p_i` in bits: what an ideal entropy coder would pay per kernel.

    Example:
        >>> usage_entropy([4, 4, 0, 0])
        1.0
    """
    used = np.asarray(counts, np.float64)
    used = used[used > 0]
    p = used / used.sum()
    return float(-(p * np.log2(p)).sum()) + 0.0
