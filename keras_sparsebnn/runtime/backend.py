"""What every interpreter library is made to offer."""

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
        scale: of quantised values; None for floats.
        zero_point: of quantised values; None for floats.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: Any
    zero_point: Any


class Backend(abc.ABC):
    """One model in one interpreter."""

    inputs: list[TensorInfo]
    outputs: list[TensorInfo]

    @abc.abstractmethod
    def invoke(self, inputs: list[Array]) -> list[Array]:
        """One inference."""

    def profile_json(self) -> str | None:
        """The delegate's account of its nodes; None where no delegate keeps one."""
        return None
