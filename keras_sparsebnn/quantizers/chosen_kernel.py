"""The base class of methods that choose codewords once, from a trained 1-bit network."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.quantizers.subset_kernel import SubsetKernel

__all__ = ["ChosenKernel"]


class ChosenKernel(SubsetKernel, abc.ABC):
    r"""n codewords, chosen once from the latent kernels and then fixed.

    Trains as plain 1-bit (or as float) until `enter("codewords", kernel)`, which chooses the
    selection from the latent kernels; training then goes on with it.
    `training.StageSchedule({0.3: "codewords"})` does so after 30 % of training.

    Forward and backward as in `SubsetKernel`. Subclasses define `choice`.

    Args:
        codewords: n, see `SubsetKernel`.
        starts_as: "sign" or "float".

    Other arguments, shape and errors as in `SubsetKernel`.

    Raises:
        ValueError: if it should start with codewords, before any were chosen.
    """

    def __init__(self, codewords: int = 32, *, starts_as: str = "sign", **kwargs: Any) -> None:
        super().__init__(codewords, starts_as=starts_as, **kwargs)
        if starts_as == "codewords":
            raise ValueError(
                f'Expected `starts_as` to be "sign" or "float", got "{starts_as}": '
                f"{type(self).__name__} chooses codewords from trained kernels."
            )

    @abc.abstractmethod
    def choice(self, kernels: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """The n distinct codeword ids for these latent kernels.

        Shape:
            `[C, k*k]` -> `[n]`.
        """

    def _choose(self, kernels: npt.NDArray[np.float32]) -> None:
        self.selection.assign(self.choice(kernels))
