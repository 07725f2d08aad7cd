r"""int8 tensors of a .tflite and the numbers they stand for: `x = s (q - z)`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Scale", "dequantized", "quantized"]

Array = npt.NDArray[Any]

Scale = float | list[float] | None
"""s; activations have one, but a file may list one for each channel of the last axis."""


def quantized(x: Array, scale: Scale, zero_point: int | None) -> Array:
    """`q = round(x / s) + z`, clipped to int8; `x` itself if it is int8 or has no scale.

    Example:
        >>> quantized(np.array([0.5, -1.0, 99.0]), 0.5, 3).tolist()
        [4, 1, 127]
    """
    if not scale or x.dtype == np.int8:
        return x
    return np.asarray(
        np.clip(np.rint(x / np.asarray(scale)) + (zero_point or 0), -128, 127), np.int8
    )


def dequantized(q: Array, scale: Scale, zero_point: int | None) -> Array:
    """`x = s (q - z)` in float32; `q` itself if it is not int8 or has no scale.

    Example:
        >>> dequantized(np.array([4, 1, 127], np.int8), 0.5, 3).tolist()
        [0.5, -1.0, 62.0]
    """
    if not scale or q.dtype != np.int8:
        return q
    difference = q.astype(np.float32) - np.float32(zero_point or 0)
    return np.asarray(difference * np.asarray(scale, np.float32))
