"""What is known to go wrong with a model, before LCE gets it wrong in silence."""

from __future__ import annotations

import numpy as np

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.converters.errors import ConversionError
from keras_sparsebnn.layers import sparse_quantizer
from keras_sparsebnn.quantizers import SubsetKernel
from keras_sparsebnn.transforms.kernels import check_finite
from keras_sparsebnn.transforms.walk import leaf_layers

__all__ = ["check_frozen_model", "check_trained_model", "is_binary_convolution", "refuse_loops"]


def is_binary_convolution(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a 2D convolution of larq's with kernels of one bit."""
    return (
        isinstance(layer, lq.layers.QuantConv2D)
        and getattr(layer.kernel_quantizer, "precision", None) == 1
    )


def check_trained_model(model: keras.Model) -> None:
    """Asserts what freezing would hide.

    Raises:
        ConversionError: weights that are not finite, or a codebook quantizer where no binary
            operator can come of it: in another layer than a `QuantConv2D`.
    """
    for path, layer in leaf_layers(model):
        check_finite(path, layer, ConversionError)
        if sparse_quantizer(layer) and not isinstance(layer, lq.layers.QuantConv2D):
            raise _no_such_layer(
                f"kernels from a codebook in QuantConv2D only, got {type(layer).__name__}", path
            )
        _check_quantizers(path, layer)


def _check_quantizers(path: str, layer: keras.layers.Layer) -> None:
    """Refuses codebook quantizers of other weights, also in the layers inside a wrapper."""
    parts = (layer, *layer.submodules)
    of_kernels = [x.kernel_quantizer for x in parts if isinstance(x, lq.layers.QuantConv2D)]
    for part in parts:
        if isinstance(part, SubsetKernel) and not any(part is x for x in of_kernels):
            raise _no_such_layer(
                "codebook quantizers as `kernel_quantizer` of QuantConv2D only, got one inside "
                f"{type(layer).__name__}",
                path,
            )


def check_frozen_model(model: keras.Model) -> None:
    """Asserts what the file's size, its speed or its values depend on.

    Raises:
        ConversionError: an input of unknown size, a layer that computes in another type than
            float32 or with channels first, an LSTM that is not unrolled, or a binary
            convolution that LCE would read as another one.
    """
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ConversionError(
                f"Expected a fixed input shape, got {tuple(tensor.shape)} "
                f"(input {tensor.name}). Build the model for the device's image size."
            )
    for path, layer in leaf_layers(model):
        _check_parts(path, layer)
        _check_lstm(path, layer)
        _check_layout(path, layer)
        if is_binary_convolution(layer):
            _check_binary_convolution(path, layer)


def refuse_loops(model: keras.Model) -> None:
    """Names what a failed conversion was most probably about: a loop of unknown batch size.

    LCE makes tensors of fixed size of the lists in which TensorFlow's loops collect their
    results, but not if the batch size is unknown.

    Raises:
        ConversionError: a recurrent layer loops over time steps, and the batch size is unknown.
    """
    if all(tensor.shape[0] is not None for tensor in model.inputs):
        return
    for path, layer in leaf_layers(model):
        for part in (layer, *layer.submodules):
            if isinstance(part, keras.layers.RNN) and not part.unroll:
                # Keras cannot unroll convolutions over time.
                unroll = "" if hasattr(part.cell, "kernel_size") else "unroll=True, or "
                raise ConversionError(
                    f"Expected no loop over time steps in a model of any batch size, got "
                    f"{type(part).__name__} (layer {path}). Build the model with {unroll}"
                    "batch_size=1 at its inputs; the weights fit."
                )


def _no_such_layer(expected: str, path: str) -> ConversionError:
    return ConversionError(
        f"Expected {expected} (layer {path}). LCE has no such binary layer: use ste_sign "
        "there, which stays float in the file."
    )


def _check_parts(path: str, layer: keras.layers.Layer) -> None:
    """Refuses other types than float32, also of the layers inside a wrapper."""
    for part in (layer, *layer.submodules):
        dtype = tf.as_dtype(getattr(part, "compute_dtype", None) or "float32")
        if dtype.is_floating and dtype != tf.float32:
            raise ConversionError(
                f"Expected float32 layers, got {dtype.name} (layer {path}). Give that "
                'layer dtype="float32".'
            )


def _check_lstm(path: str, layer: keras.layers.Layer) -> None:
    """LCE merges both states of an LSTM operator, which then outlive the inference."""
    for part in (layer, *layer.submodules):
        if isinstance(part, keras.layers.LSTM) and not part.unroll:
            raise ConversionError(
                f"Expected LSTM layers with unroll=True, got one that loops over time steps "
                f"(layer {path}). LCE computes wrong values for it: build the model with "
                "unroll=True; the weights fit."
            )


def _check_layout(path: str, layer: keras.layers.Layer) -> None:
    windowed = hasattr(layer, "kernel_size") or hasattr(layer, "pool_size")
    if windowed and getattr(layer, "data_format", None) == "channels_first":
        raise ConversionError(
            f'Expected layers of data_format "channels_last", got "channels_first" (layer '
            f"{path}). LCE and TFLite have no other: build the model again with channels_last; "
            "the weights fit."
        )


def _check_binary_convolution(path: str, layer: keras.layers.Layer) -> None:
    quantizer = layer.input_quantizer
    if quantizer is not None:
        probe = np.array([-2.0, -0.5, -0.01, 0.0, 0.01, 0.5, 2.0], np.float32)
        signs = np.where(probe < 0, -1.0, 1.0)
        if not np.array_equal(np.asarray(quantizer(tf.constant(probe))), signs):
            name = getattr(quantizer, "name", type(quantizer).__name__)
            raise ConversionError(
                f"Expected the input quantizer to be a sign, got {name} (layer {path}). "
                "LCE's activations are +1 and -1: use approx_sign or ste_sign."
            )
    if layer.padding == "same" and layer.pad_values not in (0.0, 1.0):
        raise ConversionError(
            f"Expected `pad_values` of 1 or 0, got {layer.pad_values} (layer {path}). "
            "Use pad_values=1.0."
        )
    channels = int(layer.kernel.shape[2])
    if layer.groups > 1 and channels % 32:
        raise ConversionError(
            f"Expected groups of a multiple of 32 input channels, got {channels} in each of "
            f"{layer.groups} groups (layer {path}). LCE packs 32 channels in a word: use "
            "fewer groups or more channels."
        )
