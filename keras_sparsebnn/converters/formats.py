"""Which .tflite to make: the format of its binary filters and of its float weights."""

from __future__ import annotations

import numpy.typing as npt

from keras_sparsebnn._rules import FORMATS, WEIGHTS
from keras_sparsebnn.converters.errors import ConversionError
from keras_sparsebnn.converters.int8_stem import calibrate_stem, quantize_stem
from keras_sparsebnn.converters.int8_weights import quantize_weights
from keras_sparsebnn.converters.subbit import compress, expand

__all__ = ["check_options", "convert_file"]


def check_options(format: str, weights: str) -> None:
    """Refuses what is not among `FORMATS` and `WEIGHTS`.

    Raises:
        ConversionError: one of them is not.
    """
    for name, value, known in (("format", format, FORMATS), ("weights", weights, WEIGHTS)):
        if value not in known:
            raise ConversionError(
                f"Expected `{name}` to be one of {', '.join(map(repr, known))}, got {value!r}."
            )


def convert_file(
    model: bytes,
    format: str = "lce",
    *,
    weights: str = "float",
    stem_images: npt.ArrayLike | None = None,
) -> bytes:
    """Brings a .tflite into another format. Needs no TensorFlow.

    Args:
        model: the file's bytes, LCE's or sub-bit.
        format: "lce" or "subbit"; lossless both ways.
        weights: "int8" to round float weights to 8 bits; "float" leaves them as they are.
        stem_images: images to calibrate the stem with, which then computes in int8, see
            `int8_stem`; None leaves it in float.

    Raises:
        ConversionError: `format` or `weights` is neither; there is no float stem, or the
            images do not fit it.
        ModelFileError: damaged, or of a newer version or schema.
    """
    check_options(format, weights)
    model = expand(model)
    if stem_images is not None:
        model = quantize_stem(model, calibrate_stem(model, stem_images))
    if weights == "int8":
        model = quantize_weights(model)
    return compress(model) if format == "subbit" else model
