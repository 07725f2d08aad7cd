"""Keras to Larq Compute Engine .tflite, and the assertion that it is what it should be.

LCE converts what it does not recognise into float operators, silently: the file grows and
the phone is slow. So after every conversion the file is opened and each binary convolution is
looked for in it.

What blocks the conversion of a layer, and is an error here: no sign at its input, an
operator between the sign and the convolution, an input quantizer that is not a sign (LCE
reads `ste_tern` as a sign: the file would be wrong), a `pad_values` other than 0 and 1, groups
that do not fill words of 32 channels. What only costs speed, and is not: zero padding. The
layer is still one `LceBconv2d`, but its output stays float also where the next layer could
take bits, and its activation is a float operator of its own.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.converters.verification.conversion_check import (
    BinaryCall,
    check_conversion,
)
from keras_sparsebnn.converters.errors import ConversionError, ConversionWarning
from keras_sparsebnn.converters.filters.packed import PackedFilter
from keras_sparsebnn.converters.formats import check_options, convert_file
from keras_sparsebnn.converters.lce_kernels import (
    filter_extent,
    needs_reference_kernel,
    pads_small_map_with_zeros,
)
from keras_sparsebnn.converters.operators import check_operators
from keras_sparsebnn.runtime.lce_backend import import_lce
from keras_sparsebnn.tflite_file import read
from keras_sparsebnn.converters.verification.layer_calls import (
    LayerCall,
    leaf_layers,
    quantized_kernel,
    run_layer_by_layer,
    zero_inputs,
)
from keras_sparsebnn.transforms.freezing import freeze
from keras_sparsebnn.layers import sparse_quantizer
from keras_sparsebnn.quantizers import SubsetKernel

__all__ = ["ConversionError", "convert_keras_model"]


def convert_keras_model(model: Any, format: str = "lce", *, weights: str = "float") -> bytes:
    """Freezes a model, converts it, and asserts that every binary layer arrived as one.

    Asserted: each `QuantConv2D` with a codebook quantizer, and each with binary kernels and
    an input quantizer, is exactly one `LceBconv2d` per call; its filter holds the layer's
    kernels and only codewords of its selection; no float copy of them is left.

    Args:
        model: a trained Sequential or functional model; it stays as it is. Mixed precision is
            fine: what is converted is the float32 copy that `keras_sparsebnn.freeze` makes.
        format: "lce", a file for Larq Compute Engine and for the delegate; "subbit", the
            smaller one for the delegate alone.
        weights: "int8" to store what is not binary in 8 bits, see `quantize_weights`.

    Returns:
        The .tflite file's bytes.

    Raises:
        ConversionError: for other options, or a layer that cannot be converted; it names the
            layer and the cause.
        ImportError: larq-compute-engine is not installed.

    Example:
        >>> model = keras.Sequential([keras.layers.Dense(2, input_shape=(3,))])
        >>> convert_keras_model(model)[4:8]
        b'TFL3'
    """
    check_options(format, weights)
    if isinstance(model, keras.Model):
        _check_sparse_layers(model)
    frozen = freeze(model)
    _check_frozen(frozen)
    calls = _binary_calls(model, frozen)
    flat = _convert(frozen)
    layers = [path for path, _ in leaf_layers(frozen)]
    check_operators(flat, layers)
    _warn_of_small_maps(check_conversion(flat, calls))
    _check_loads(flat)
    return convert_file(flat, format, weights=weights)


def _check_sparse_layers(model: Any) -> None:
    for path, layer in leaf_layers(model):
        if sparse_quantizer(layer) and not isinstance(layer, lq.layers.QuantConv2D):
            raise ConversionError(
                f"Expected kernels from a codebook in QuantConv2D only, got "
                f"{type(layer).__name__} (layer {path}). LCE has no such binary layer: use "
                "ste_sign there, which stays float in the file."
            )


def _check_frozen(frozen: Any) -> None:
    """What is known to go wrong, before LCE prints about it or gets it wrong in silence."""
    for tensor in frozen.inputs:
        if None in tensor.shape[1:]:
            raise ConversionError(
                f"Expected a fixed input shape, got {tuple(tensor.shape)} "
                f"(input {tensor.name}). Build the model for the device's picture size."
            )
    for path, layer in leaf_layers(frozen):
        for part in (layer, *layer.submodules):
            # Also the layers inside wrappers, which are no model's layers.
            dtype = tf.as_dtype(getattr(part, "compute_dtype", None) or "float32")
            if dtype.is_floating and dtype != tf.float32:
                raise ConversionError(
                    f"Expected float32 layers, got {dtype.name} (layer {path}). Give that "
                    'layer dtype="float32".'
                )
        if any(isinstance(part, SubsetKernel) for part in layer.submodules):
            raise ConversionError(
                f"Expected codebook quantizers as `kernel_quantizer` of QuantConv2D only, got "
                f"one inside {type(layer).__name__} (layer {path}). LCE has no such binary "
                "layer: use ste_sign there, which stays float in the file."
            )
        if _is_binary(layer):
            _check_binary_layer(path, layer)


def _is_binary(layer: Any) -> bool:
    """Whether a frozen layer has kernels of one bit."""
    return (
        isinstance(layer, lq.layers.QuantConv2D)
        and getattr(layer.kernel_quantizer, "precision", None) == 1
    )


def _check_binary_layer(path: str, layer: Any) -> None:
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


def _binary_calls(model: Any, frozen: Any) -> list[BinaryCall]:
    """The calls of binary layers in execution order."""
    trained = dict(leaf_layers(model))
    calls: list[BinaryCall] = []
    seen: set[tuple[int, ...]] = set()
    kept: list[LayerCall] = []  # keeps the tensors alive, so that their ids stay theirs

    def visit(call: LayerCall) -> Any:
        kept.append(call)
        identity = (id(call.layer), *map(id, call.inputs))
        if not _is_binary(call.layer) or identity in seen:
            return call.output
        seen.add(identity)
        quantizer = sparse_quantizer(trained[call.path])
        if quantizer is None and call.layer.input_quantizer is None:
            return call.output  # a binary kernel on float activations is meant to be float
        kernel = quantized_kernel(call.layer)
        selection = None if quantizer is None else np.asarray(quantizer.selection)
        calls.append(BinaryCall(call.path, kernel.transpose(3, 0, 1, 2), selection))
        return call.output

    run_layer_by_layer(frozen, zero_inputs(frozen), visit)
    return calls


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings and no log lines about how the model is saved on its way."""
    loggers = [tf.get_logger(), logging.getLogger("absl")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _convert(frozen: Any) -> bytes:
    try:
        with _quiet():
            import larq_compute_engine as lce
    except ImportError as error:
        raise ImportError(
            "Expected larq-compute-engine to be installed, found none. "
            "Run: pip install 'keras-sparsebnn[convert]'"
        ) from error
    try:
        with _quiet():
            return bytes(lce.convert_keras_model(frozen))
    except (RuntimeError, TypeError, ValueError, tf.errors.OpError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConversionError(
            f"Expected a model that LCE can convert, got: {reason} (model {frozen.name})."
        ) from error


def _warn_of_small_maps(converted: Sequence[tuple[BinaryCall, PackedFilter]]) -> None:
    wrong = {
        call.path: packed for call, packed in converted if pads_small_map_with_zeros(packed)
    }
    for path, packed in wrong.items():
        height, width = packed.input.shape[1:3]
        extent = "x".join(map(str, filter_extent(packed)))
        warnings.warn(
            f"Layer {path} pads a map of {height}x{width} with zeros for a filter that spans "
            f"{extent}: LCE's fast kernels compute wrong values there. Run the file with the "
            "delegate or with LCE's reference kernel, or give the layer pad_values=1.0.",
            ConversionWarning,
            stacklevel=3,
        )


def _check_loads(flat: bytes) -> None:
    """An operator may have a kernel, but not for the types it is given."""
    model = read(flat)
    try:
        import_lce().LiteInterpreter(flat, 1, needs_reference_kernel(model), False, False)
    except RuntimeError as error:
        reason = " ".join(str(error).split()).partition(" : ")[2]
        raise ConversionError(
            f"Expected a file that LCE's interpreter can load, got: {reason[:300]}"
        ) from error
