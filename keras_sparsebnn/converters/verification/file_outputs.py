"""What .tflite files compute, end to end, and what rounding them to 8 bits changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.converters.verification.quantization import quantized
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["WeightsReport", "compare_weights", "predict"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class WeightsReport:
    """What int8 weights, or int8 layers, change against the same file in float.

    Attributes:
        samples: how many inputs were compared.
        argmax_agreement: share of samples with the same arg max, over all outputs that have
            one.
        max_abs_difference: largest over all outputs.
        float_accuracy: in float; None without labels.
        int8_accuracy: in 8 bits; None without labels.
    """

    samples: int
    argmax_agreement: float
    max_abs_difference: float
    float_accuracy: float | None
    int8_accuracy: float | None

    def __str__(self) -> str:
        text = (
            f"int8 against float on {self.samples} samples: arg max agrees on "
            f"{100 * self.argmax_agreement:.2f} %, largest difference "
            f"{self.max_abs_difference:.3g}"
        )
        if self.float_accuracy is None or self.int8_accuracy is None:
            return f"{text}."
        change = 100 * (self.int8_accuracy - self.float_accuracy)
        return (
            f"{text}; accuracy {100 * self.float_accuracy:.2f} % -> "
            f"{100 * self.int8_accuracy:.2f} % ({change:+.2f} points)."
        )


def predict(model: bytes, feeds: list[Array], *, runtime: str = "auto") -> list[Array]:
    """The outputs of a file for all samples.

    Args:
        model: the file's bytes.
        feeds: an array per input of the file, in its order; cast to the file's types, or
            rounded to int8.
        runtime: as in `keras_sparsebnn.runtime.Interpreter`.
    """
    from keras_sparsebnn.runtime import Interpreter

    interpreter = Interpreter(model, runtime=runtime)
    outputs = interpreter.predict(
        [
            np.asarray(quantized(x, tensor.scale, tensor.zero_point), tensor.dtype)
            for x, tensor in zip(feeds, interpreter.inputs, strict=True)
        ]
    )
    return outputs if isinstance(outputs, list) else [outputs]


def compare_weights(
    plain: bytes, rounded: bytes, feeds: list[Array], labels: npt.ArrayLike | None = None
) -> WeightsReport:
    """Runs both files, in float and with int8 weights or layers.

    Raises:
        SparseBNNError: there are labels, but not one per sample or not one output.
    """
    expected, got = predict(plain, feeds), predict(rounded, feeds)
    pairs = list(zip(expected, got, strict=True))
    accuracies: list[float | None] = [None, None]
    if labels is not None:
        classes = np.asarray(labels)
        if len(expected) != 1 or classes.shape != expected[0].shape[:-1]:
            raise SparseBNNError(
                f"Expected one output and a label for each of its samples, got outputs of "
                f"shapes {[x.shape for x in expected]} and labels of shape {classes.shape}."
            )
        accuracies = [float((x[0].argmax(-1) == classes).mean()) for x in (expected, got)]
    same = [
        (a.argmax(-1) == b.argmax(-1)).reshape(-1)
        for a, b in pairs
        if a.ndim > 1 and a.shape[-1] > 1
    ]
    differences = [np.abs(a.astype(np.float64) - b).max(initial=0) for a, b in pairs]
    return WeightsReport(
        samples=len(feeds[0]),
        argmax_agreement=float(np.concatenate(same).mean()) if same else 1.0,
        max_abs_difference=float(max(differences, default=0.0)),
        float_accuracy=accuracies[0],
        int8_accuracy=accuracies[1],
    )
