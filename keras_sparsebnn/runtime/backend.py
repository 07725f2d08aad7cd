"""The interface that every interpreter library is adapted to."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Backend", "TensorInfo"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model.

    Attributes:
        name: its name in the model's signature if there is one, else the tensor's.
        shape: batch first.
        dtype: NumPy's.
        scale: of quantised values, one or one per channel; None for floats.
        zero_point: of quantised values; None for floats.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float | list[float] | None
    zero_point: int | None


class Backend(abc.ABC):
    """One model in one interpreter."""

    inputs: list[TensorInfo]
    outputs: list[TensorInfo]

    @abc.abstractmethod
    def invoke(self, inputs: list[Array]) -> list[Array]:
        """One inference."""

    def profile_json(self) -> str | None:
        """The delegate's timings of its nodes; None without a delegate that takes them."""
        return None
