"""Keras to Larq Compute Engine .tflite, and the assertion that it is what it should be.

LCE converts what it does not recognise into float operators, silently: the file grows and the
phone is slow. So the file is opened after every conversion, and each binary convolution is
looked for in it.

Errors: a layer with a codebook, or with binary kernels and an input quantizer, that did not
become one `LceBconv2d`, because its input has no sign, or another operator lies between the
sign and the convolution; what LCE gets wrong in silence (`model_checks`); operators without a
kernel (`operators`).

Warnings: other layers with binary kernels, which run in float; zero padding on small maps,
which LCE's fast kernels compute wrongly (`runtime.lce_kernels`).

Zero padding elsewhere only costs speed: the layer is still one `LceBconv2d`, but its output
stays float where the next layer could take bits, and its activation is an operator of its own.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn._rules import INTERFACE_TYPES, TARGETS
from keras_sparsebnn.converters.errors import ConversionError, ConversionWarning
from keras_sparsebnn.converters.filters.packed import PackedFilter
from keras_sparsebnn.converters.formats import check_options, convert_file
from keras_sparsebnn.converters.model_checks import (
    check_frozen_model,
    check_trained_model,
    is_binary_convolution,
    refuse_loops,
)
from keras_sparsebnn.converters.operators import check_operators
from keras_sparsebnn.converters.verification.conversion_check import (
    BinaryCall,
    check_conversion,
)
from keras_sparsebnn.converters.verification.layer_calls import (
    LayerCall,
    run_layer_by_layer,
    zero_inputs,
)
from keras_sparsebnn.converters.verification.model_ends import in_model_order
from keras_sparsebnn.layers import FoldedConv2D, sparse_quantizer
from keras_sparsebnn.runtime.lce_backend import LCEBackend
from keras_sparsebnn.runtime.lce_kernels import (
    filter_extent,
    needs_reference_kernel,
    pads_small_map_with_zeros,
    pads_with_zeros,
)
from keras_sparsebnn.tflite_file import read
from keras_sparsebnn.transforms.binarity import has_binary_kernel, stays_float
from keras_sparsebnn.transforms.freezing import freeze
from keras_sparsebnn.transforms.kernels import quantized_kernel
from keras_sparsebnn.transforms.walk import all_layers, leaf_layers

__all__ = ["ConversionError", "convert_keras_model"]


def convert_keras_model(
    model: keras.Model,
    format: str = "lce",
    *,
    weights: str = "float",
    int8_layers: Collection[str] = (),
    calibration_images: npt.ArrayLike | None = None,
    inference_input_type: tf.DType | str = "float32",
    inference_output_type: tf.DType | str = "float32",
    target: str = "arm",
    experimental_default_int8_range: tuple[float, float] | None = None,
) -> bytes:
    """Freezes a model, converts it, and asserts that every binary layer arrived as one.

    Asserted: each `QuantConv2D` with a codebook quantizer, and each with binary kernels and
    an input quantizer, is exactly one `LceBconv2d` per call; its filter holds the layer's
    kernels and only codewords of its selection; no float copy of them is left. Every operator
    is one that LCE's interpreter, and stock TFLite with the delegate, have a kernel for.

    Args:
        model: a trained Sequential or functional model; it stays as it is. Mixed precision is
            fine: what is converted is the float32 copy that `keras_sparsebnn.freeze` makes.
        format: "lce", a file for Larq Compute Engine and for the delegate; "subbit", the
            smaller one for the delegate alone.
        weights: "int8" to store what is not binary in 8 bits, see `quantize_weights`.
        int8_layers: of "stem", "shortcuts" and "classifier", the float layers that are to
            compute in int8, activations too, see the module `int8_layers`.
        calibration_images: a few hundred images of the training set, as the model takes them,
            to calibrate these with.
        inference_input_type: "float32" or "int8", of the file's inputs. int8 needs a model
            that quantizes its inputs, by `tf.quantization.fake_quant_with_min_max_vars`.
        inference_output_type: likewise, of its outputs.
        target: "arm", or "xcore" for XMOS's processors.
        experimental_default_int8_range: (lowest, highest) value to assume of every activation
            that the model does not quantize itself. For latency tests only: the file computes
            something else than the model, and `verify` says so.

    Returns:
        The .tflite file's bytes.

    Raises:
        ConversionError: for other options, or a layer that cannot be converted; it names the
            layer and the cause.
        ImportError: larq-compute-engine is not installed.

    Warns:
        ConversionWarning: a layer with binary kernels runs in float in the file, or LCE's fast
            kernels compute wrong values for it.

    Example:
        >>> model = keras.Sequential([keras.layers.Dense(2, input_shape=(3,))])
        >>> convert_keras_model(model)[4:8]
        b'TFL3'
    """
    check_options(format, weights, int8_layers, calibration_images)
    options = {
        "inference_input_type": _checked_type("inference_input_type", inference_input_type),
        "inference_output_type": _checked_type("inference_output_type", inference_output_type),
        "target": _checked_target(target),
        "experimental_default_int8_range": _checked_range(experimental_default_int8_range),
    }
    if isinstance(model, keras.Model):
        check_trained_model(model)
    frozen = freeze(model)
    check_frozen_model(frozen)
    calls = _binary_calls(model, frozen)
    flat = _convert(frozen, options)
    check_operators(flat, [path for path, _ in leaf_layers(frozen)])
    converted = check_conversion(flat, calls)
    _check_types(flat, options)
    flat = in_model_order(frozen, flat)
    _refuse_odd_channels(flat, converted)
    _check_loads(flat)
    _warn_of_float_layers(frozen, {call.path for call, _ in converted})
    _warn_of_small_maps(converted)
    return convert_file(
        flat,
        format,
        weights=weights,
        int8_layers=int8_layers,
        calibration_images=calibration_images,
    )


def _checked_type(name: str, value: tf.DType | str) -> tf.DType:
    try:
        dtype = tf.as_dtype(value)
    except TypeError:
        dtype = None
    if dtype is None or dtype.name not in INTERFACE_TYPES:
        raise ConversionError(f"Expected `{name}` to be float32 or int8, got {value!r}.")
    return dtype


def _checked_target(target: str) -> str:
    if target not in TARGETS:
        raise ConversionError(
            f"Expected `target` to be one of {', '.join(map(repr, TARGETS))}, got {target!r}."
        )
    return target


def _checked_range(limits: tuple[float, float] | None) -> tuple[float, float] | None:
    if limits is None:
        return None
    try:
        pair = np.asarray(limits, np.float64)
    except (TypeError, ValueError):
        pair = np.empty(0)
    if pair.shape != (2,) or not np.isfinite(pair).all() or not pair[0] < pair[1]:
        raise ConversionError(
            "Expected `experimental_default_int8_range` to be two numbers, the lower one "
            f"first, got {limits!r}."
        )
    return float(pair[0]), float(pair[1])


def _binary_calls(model: keras.Model, frozen: keras.Model) -> list[BinaryCall]:
    """The calls of binary convolutions in execution order."""
    trained = dict(leaf_layers(model))
    calls: list[BinaryCall] = []
    seen: set[tuple[int, ...]] = set()
    kept: list[LayerCall] = []  # keeps the tensors alive, so that their ids stay theirs

    def visit(call: LayerCall) -> tf.Tensor:
        kept.append(call)
        identity = (id(call.layer), *map(id, call.inputs))
        if not is_binary_convolution(call.layer) or identity in seen:
            return call.output
        seen.add(identity)
        layer = _origin(call.path, trained)
        kernel = quantized_kernel(call.layer)
        selection = _selection(layer, call.layer)
        # Without an input quantizer its inputs may be floats, or another layer's signs.
        required = selection is not None or call.layer.input_quantizer is not None
        calls.append(BinaryCall(call.path, kernel.transpose(3, 0, 1, 2), selection, required))
        return call.output

    run_layer_by_layer(frozen, zero_inputs(frozen), visit)
    return calls


def _selection(
    layer: keras.layers.Layer, in_file: keras.layers.Layer
) -> npt.NDArray[np.int64] | None:
    """Codewords that a layer of the file may use, given the trained one that it is part of."""
    if isinstance(layer, FoldedConv2D):
        return layer.file_selection(in_file.name)
    quantizer = sparse_quantizer(layer)
    return None if quantizer is None else np.asarray(quantizer.selection)


def _origin(path: str, trained: Mapping[str, keras.layers.Layer]) -> keras.layers.Layer:
    """The trained layer that the frozen one of that path is, or is a part of."""
    while path not in trained:
        path = path.rpartition("/")[0]
    return trained[path]


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


def _save_serving_function(model: keras.Model, folder: str) -> None:
    """A SavedModel that LCE converts to the same bytes as `model.save(folder)`'s.

    Keras also traces and saves four functions of every layer, which takes three quarters of the
    time of a conversion; LCE reads none of them.
    """

    def serve(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)
        return dict(zip(model.output_names, tf.nest.flatten(outputs), strict=True))

    specs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name)
        for tensor, name in zip(model.inputs, model.input_names, strict=True)
    ]
    module = tf.Module()
    module.kept = model.variables
    signature = tf.function(serve).get_concrete_function(*specs)
    tf.saved_model.save(module, folder, signatures=signature)


def _convert(frozen: keras.Model, options: Mapping[str, object]) -> bytes:
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
            try:
                with tempfile.TemporaryDirectory() as folder:
                    _save_serving_function(frozen, folder)
                    return bytes(lce.convert_saved_model(folder, **options))
            except Exception:  # LCE's own ways of saving, and its reasons
                return bytes(lce.convert_keras_model(frozen, **options))
    except (RuntimeError, TypeError, ValueError, tf.errors.OpError) as error:
        refuse_loops(frozen)  # LCE does not name them
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConversionError(
            f"Expected a model that LCE can convert, got: {reason} (model {frozen.name})."
        ) from error


def _check_types(flat: bytes, options: Mapping[str, object]) -> None:
    """LCE leaves a model that is not quantized as it is, in silence."""
    graph = read(flat).subgraphs[0]
    for side in ("input", "output"):
        wanted = options[f"inference_{side}_type"]
        for index in getattr(graph, f"{side}s"):
            tensor = graph.tensors[index]
            if wanted == tf.int8 and tensor.dtype != "INT8":
                raise ConversionError(
                    f"Expected a model with quantized {side}s for inference_{side}_type=int8, "
                    f"got {tensor.dtype} ({side} {tensor.name}). Train it with "
                    f"tf.quantization.fake_quant_with_min_max_vars at its {side}s."
                )


def _warn_of_float_layers(frozen: keras.Model, converted: Collection[str]) -> None:
    for path, layer in all_layers(frozen):
        if path not in converted and has_binary_kernel(layer):
            reason = stays_float(layer) or "LCE does not recognise it"
            warnings.warn(
                f"Layer {path} has binary kernels but runs in float in the file: {reason}.",
                ConversionWarning,
                stacklevel=3,
            )


def _warn_of_small_maps(converted: Sequence[tuple[BinaryCall, PackedFilter]]) -> None:
    wrong = {
        call.path: packed
        for call, packed in converted
        if pads_small_map_with_zeros(packed.operator, packed.input, packed.filter)
    }
    for path, packed in wrong.items():
        height, width = packed.input.shape[1:3]
        extent = "x".join(map(str, filter_extent(packed.operator, packed.filter)))
        warnings.warn(
            f"Layer {path} pads a map of {height}x{width} with zeros for a filter that spans "
            f"{extent}: LCE's fast kernels compute wrong values there. Run the file with the "
            "delegate or with LCE's reference kernel, or give the layer pad_values=1.0.",
            ConversionWarning,
            stacklevel=3,
        )


def _refuse_odd_channels(
    flat: bytes, converted: Sequence[tuple[BinaryCall, PackedFilter]]
) -> None:
    """LCE's reference kernel counts half of the channels for a zero."""
    if not needs_reference_kernel(read(flat)):
        return
    for call, packed in converted:
        channels = packed.channels * packed.groups
        if channels % 2 and pads_with_zeros(packed.operator):
            raise ConversionError(
                "Expected an even number of channels where a layer pads with zeros, as the "
                "model needs LCE's reference kernel (for groups, or for zeros around a map "
                f"smaller than a filter), got {channels} (layer {call.path}). Use "
                "pad_values=1.0."
            )


def _check_loads(flat: bytes) -> None:
    """An operator may have a kernel, but not for the types it is given."""
    try:
        LCEBackend(read(flat), 1)
    except RuntimeError as error:
        reason = " ".join(str(error).split()).partition(" : ")[2]
        raise ConversionError(
            f"Expected a file that LCE's interpreter can load, got: {reason[:300]}"
        ) from error
