"""Codewords that follow the latent kernels during training, one swap after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.quantizers.facility_location import greedy_facility_location
from keras_sparsebnn.quantizers.subset_kernel import SubsetKernel

__all__ = ["SwapSearch", "best_swaps"]

_CHUNK = 8192  # kernels at a time: their scores for 512 codewords are 16 MiB


def best_swaps(
    kernels: codebook.Floats,
    selection: npt.NDArray[np.int64],
    kernel_size: int = 3,
    *,
    swaps: int = 1,
    hysteresis: float = 0.0,
) -> npt.NDArray[np.int64]:
    r"""The selection after up to `swaps` best exchanges of a codeword in it for one outside.

    With `d(U) = sum_c (||w_c||_1 - max_{u in U} <u, w_c>)`, twice the magnitude of all weights
    that have the wrong sign, an exchange is made while the best one lowers `d` by more than
    `hysteresis * d`. What exchanging `u` for `v` gains is, over all pairs at once,

        sum_c max(0, s_vc - b_c)  -  sum_{c : what_c = u} (max(b_c, s_vc) - max(b'_c, s_vc)),

    `s_vc = <v, w_c>`, `b_c` the best score in `U` and `b'_c` the second best (FasterPAM).

    Args:
        kernels: latent kernels.
        selection: n distinct codeword ids.
        kernel_size: k.
        swaps: at most so many.
        hysteresis: the least relative gain, >= 0.

    Shape:
        `[C, k*k]`, `[n]` -> `[n]`; what is exchanged takes the slot of what it replaces.

    Example:
        >>> kernels = codebook.codewords()[[5, 5, 7]]
        >>> best_swaps(kernels, np.array([7, 300])).tolist()
        [7, 5]

    Reference: Schubert and Rousseeuw, "Fast and eager k-medoids clustering", Information
    Systems 101, 2021, arXiv:2008.05171, without its eagerness.
    """
    table = codebook.codewords(kernel_size).astype(np.float32)
    w = np.ascontiguousarray(kernels, np.float32)
    chosen = np.array(selection, np.int64)
    n = len(chosen)
    most = float(np.abs(w).sum(dtype=np.float64))
    for _ in range(swaps):
        distortion = most
        gains = np.zeros((n, len(table)))
        for start in range(0, len(w), _CHUNK):
            scores = w[start : start + _CHUNK] @ table.T
            of_chosen = scores[:, chosen]
            owner = of_chosen.argmax(axis=1)
            best = of_chosen.max(axis=1, keepdims=True)
            of_chosen[np.arange(len(owner)), owner] = -np.inf
            second = of_chosen.max(axis=1, keepdims=True)
            distortion -= float(best.sum(dtype=np.float64))
            gains += np.maximum(scores - best, 0).sum(axis=0)
            lost = np.maximum(scores, best) - np.maximum(scores, second)
            owned = np.zeros((n, len(owner)), np.float32)
            owned[owner, np.arange(len(owner))] = 1
            gains -= owned @ lost
        gains[:, chosen] = -np.inf
        slot, codeword = divmod(int(gains.argmax()), len(table))
        if gains[slot, codeword] <= max(hysteresis * distortion, 1e-6 * most):
            break
        chosen[slot] = codeword
    return chosen


@lq.utils.register_alias("swap_search")
@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class SwapSearch(SubsetKernel):
    r"""n codewords that follow the latent kernels, by exchanges that pay. Our own method.

    Forward, backward: as in `SubsetKernel`. Every so many updates, `training.SwapSchedule`
    calls `swap`:

        U <- U - {u} + {v}    with the u, v that lower d(U) most, if that is by more than
                              `hysteresis` d(U),    d(U) = sum_c min_{u in U} ||u - w_c||^2 / 2

    up to constants, see `best_swaps`. Latent kernels sum up what the loss asks of every weight,
    over many batches, also where no codeword can follow. So this is k-medoids on averaged
    gradients; the permutation straight-through estimator adds the gradients of all kernels of
    a codeword instead, where those that would rather leave it cancel those that stay.

    Args:
        codewords: n, see `SubsetKernel`.
        swaps: most exchanges at a time, >= 1.
        hysteresis: least relative gain of an exchange, >= 0.
        sample: kernels looked at, for layers of more; drawn anew each time.

    Other arguments, shape and errors as in `SubsetKernel`. With `starts_as="sign"` the first
    selection is `FacilityLocation`'s, else it is random.

    Example:
        >>> SwapSearch(16, seed=1).get_config()["swaps"]
        4

    Reference: none; the search is FasterPAM's, see `best_swaps`.
    """

    def __init__(
        self,
        codewords: int = 32,
        *,
        swaps: int = 4,
        hysteresis: float = 0.005,
        sample: int = 16384,
        **kwargs: Any,
    ) -> None:
        super().__init__(codewords, **kwargs)
        for name, value, low in (
            ("swaps", swaps, 1),
            ("hysteresis", hysteresis, 0),
            ("sample", sample, 1),
        ):
            if isinstance(value, bool) or not value >= low or not np.isfinite(value):
                raise ValueError(f"Expected `{name}` to be >= {low}, got {value}.")
        self.swaps = int(swaps)
        self.hysteresis = float(hysteresis)
        self.sample = int(sample)

    def swap(self, kernel: Any, step: int) -> None:
        """Makes the exchanges that pay, eagerly, between two steps.

        Args:
            kernel: the layer's latent kernel, `[k, k, Cin, Cout]`.
            step: the optimizer's counter; with the seed, it keys the sample.
        """
        if self.covers_codebook or self.stage != "codewords":
            return
        latent = self._binarised_latent(kernel).numpy().reshape(self.kernel_size**2, -1).T
        if len(latent) > self.sample:
            rng = np.random.default_rng((self.seed, step))
            latent = latent[rng.choice(len(latent), self.sample, replace=False)]
        self.selection.assign(
            best_swaps(
                latent,
                self.selection.numpy(),
                self.kernel_size,
                swaps=self.swaps,
                hysteresis=self.hysteresis,
            )
        )

    def _choose(self, kernels: npt.NDArray[np.float32]) -> None:
        self.selection.assign(
            greedy_facility_location(kernels, self.codewords, self.kernel_size)
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "swaps": self.swaps,
            "hysteresis": self.hysteresis,
            "sample": self.sample,
        }
