"""Which .tflite to make: the format of its binary filters and of its float weights."""

from __future__ import annotations

import os
from collections.abc import Collection

import numpy.typing as npt

from keras_sparsebnn._rules import FORMATS, INT8_LAYERS, WEIGHTS
from keras_sparsebnn.converters.errors import ConversionError
from keras_sparsebnn.converters.int8_layers import calibrate, quantize_layers
from keras_sparsebnn.converters.int8_weights import quantize_weights
from keras_sparsebnn.converters.subbit import compress, expand

__all__ = ["check_options", "convert_file"]


def check_options(
    format: str,
    weights: str,
    int8_layers: Collection[str] = (),
    calibration_images: npt.ArrayLike | None = None,
) -> None:
    """Refuses what is not among `FORMATS`, `WEIGHTS` and `INT8_LAYERS`.

    Raises:
        ConversionError: one of them is not; or there are int8 layers without images, or images
            without int8 layers.
    """
    for name, value, known in (("format", format, FORMATS), ("weights", weights, WEIGHTS)):
        if value not in known:
            raise ConversionError(
                f"Expected `{name}` to be one of {', '.join(map(repr, known))}, got {value!r}."
            )

    for kind in int8_layers:
        if isinstance(int8_layers, str) or kind not in INT8_LAYERS:
            raise ConversionError(
                f"Expected `int8_layers` to be some of {', '.join(map(repr, INT8_LAYERS))}, "
                f"got {int8_layers!r}."
            )
    if bool(int8_layers) != (calibration_images is not None):
        given, missing = "int8_layers", "calibration_images"
        if not int8_layers:
            given, missing = missing, given
        raise ConversionError(f"Expected `{missing}` with `{given}`, got none.")


def convert_file(
    model: bytes | str | os.PathLike[str],
    format: str = "lce",
    *,
    weights: str = "float",
    int8_layers: Collection[str] = (),
    calibration_images: npt.ArrayLike | None = None,
) -> bytes:
    """Brings a .tflite into another format. Needs no TensorFlow.

    Args:
        model: the file's bytes, LCE's or sub-bit, or its path.
        format: "lce" or "subbit"; lossless both ways.
        weights: "int8" to round float weights to 8 bits; "float" leaves them as they are.
        int8_layers: of "stem", "shortcuts" and "classifier", the float layers that are to
            compute in int8, activations too, see the module `int8_layers`.
        calibration_images: a few hundred training images, to calibrate these with.

    Raises:
        ConversionError: an option is not one of these; there are no such float layers, or the
            images do not fit.
        ModelFileError: damaged, or of a newer version or schema.
    """
    check_options(format, weights, int8_layers, calibration_images)
    flat = expand(model)
    if calibration_images is not None:
        flat = quantize_layers(flat, calibrate(flat, calibration_images, int8_layers))
    if weights == "int8":
        flat = quantize_weights(flat)
    return compress(flat) if format == "subbit" else flat
