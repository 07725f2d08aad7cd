"""Does a .tflite compute what the Keras model computes? On your own inputs, layer by layer."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.converters.errors import (
    ConversionError,
    ConversionWarning,
    VerificationError,
)
from keras_sparsebnn.converters.int8_layers import quantize_layers, ranges_of
from keras_sparsebnn.converters.int8_weights import has_int8_weights, quantize_weights
from keras_sparsebnn.converters.subbit import expand
from keras_sparsebnn.converters.verification.file_outputs import compare_weights, predict
from keras_sparsebnn.converters.verification.report import VerifyReport
from keras_sparsebnn.runtime.delegate import has_delegate
from keras_sparsebnn.tflite_file import read

if TYPE_CHECKING:
    from keras_sparsebnn._keras import keras
    from keras_sparsebnn.converters.verification.model_ends import Inputs

__all__ = ["VerificationError", "VerifyReport", "verify"]


def verify(
    model: keras.Model,
    flat: bytes,
    inputs: Inputs,
    *,
    labels: npt.ArrayLike | None = None,
    batch_size: int = 16,
    progress: bool = False,
) -> VerifyReport:
    r"""Compares a Keras model with its converted file on `inputs`.

    Keras = LCE = delegate, step by step. A value within rounding error of zero may get another
    sign in the file than in Keras, and then everything after it differs by far more than
    rounding. Such a flip is no bug, but a bug looks the same at the output. So both are run in
    step: each Keras layer is given what the file computed for its inputs, and its output is
    looked for among the file's tensors. Bit-packed tensors must agree exactly, except where
    Keras's value is within its rounding error of zero; floats within the rounding error

    `2 gamma_n S`,  `gamma_n = n u / (1 - n u)`,  `u = 2^-24`,

    where n is how many roundings the result has been through since the last value that both
    share, and S is the same sum over magnitudes, `sum |w| |x|` for a convolution: the standard
    bound for any order of summation, once for Keras and once for the file (Higham, "Accuracy
    and Stability of Numerical Algorithms", 2002, section 3.1). The file runs in LCE's
    interpreter, and then with this package's delegate in a stock one, where it is installed.

    A sub-bit file is expanded for this, and must then give the very same bits through the
    delegate as the file it was expanded to.

    A file with int8 weights, or int8 layers, must be, tensor by tensor, what `quantize_weights`
    and `quantize_layers` make of this model's float file, which is compared with Keras in its
    place. What the rounding changes is measured.

    Args:
        model: the Keras model, as trained or frozen; compared is its frozen float32 form.
        flat: the .tflite file's bytes.
        inputs: an array, a list of arrays in the order of the model's inputs, or a dictionary
            by input name; samples along the first axis.
        labels: the class of each sample, to measure accuracy in 8 bits.
        batch_size: samples compared at a time at most; fewer where they are so large that
            their tensors would take more than about 512 MiB.
        progress: shows a progress bar on stderr, if that is a terminal.

    Raises:
        VerificationError: they differ; the message and `.layer` name the first layer.
        ModelFileError: the file is damaged.
        SparseBNNError: the inputs do not fit the model.
    """
    # TensorFlow loads here, so that converters.inspect does without.
    from tqdm import tqdm

    from keras_sparsebnn.converters.verification.lockstep import compare
    from keras_sparsebnn.converters.verification.model_ends import file_inputs

    plain = expand(flat)
    reference = _float_file(model, plain)
    feeds = file_inputs(model, plain, inputs)
    runtimes = ["lce", "delegate"] if has_delegate() else ["lce"]
    with tqdm(
        total=len(runtimes) * len(feeds[0]),
        unit="sample",
        desc="verify",
        leave=False,
        disable=None if progress else True,  # None: only on a terminal
    ) as bar:
        reports = [
            compare(model, reference, inputs, batch_size, runtime, bar.update)
            for runtime in runtimes
        ]
    compared = ["LCE"]
    if "delegate" in runtimes:
        compared.append("delegate(LCE file)")
        if flat is not plain:
            _check_same_bits(plain, flat, feeds)
            compared.append("delegate(sub-bit file)")
    rounded = reference is not plain
    weights = compare_weights(reference, plain, feeds, labels) if rounded else None
    return replace(reports[0], compared=tuple(compared), int8_weights=weights)


def _float_file(model: keras.Model, plain: bytes) -> bytes:
    """The model's LCE file before weights or layers were rounded to `plain`'s; else `plain`."""
    from keras_sparsebnn.converters.lce import convert_keras_model

    file = read(plain)
    weights, ranges = has_int8_weights(file), ranges_of(file)
    if not weights and not ranges:
        return plain
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)  # given when it was converted
        reference = convert_keras_model(model)
    expected = reference
    own = ranges_of(read(reference))
    ranges = {tensor: each for tensor, each in ranges.items() if own.get(tensor) != each}
    if not ranges and not weights:
        return plain  # trained for int8
    try:
        if ranges:
            expected = quantize_layers(expected, ranges)
        if weights:
            expected = quantize_weights(expected)
        same = read(expected).root == file.root
    except ConversionError:  # of layers that the model does not have
        same = False
    if not same:
        raise VerificationError(
            "Expected the model's file with its weights or float layers rounded to 8 bits, got "
            "another. Is the file this model's, and of this version of larq-compute-engine? "
            "Convert it again."
        )
    return reference


def _check_same_bits(plain: bytes, sub_bit: bytes, feeds: list[npt.NDArray[Any]]) -> None:
    outputs = (predict(model, feeds, runtime="delegate") for model in (plain, sub_bit))
    for number, (expected, got) in enumerate(zip(*outputs, strict=True)):
        if not np.array_equal(expected, got, equal_nan=True):
            raise VerificationError(
                f"Expected the delegate to compute the same from the LCE file and from the "
                f"sub-bit file, got a difference of {np.abs(expected - got).max():.3g} at "
                f"output {number}. Please report this model."
            )
