"""The codewords that lie closest to all kernels of a trained 1-bit network, greedily."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn.quantizers.chosen_kernel import ChosenKernel
from keras_sparsebnn.quantizers.register import register_quantizer

__all__ = ["FacilityLocation", "greedy_facility_location"]

_CHUNK = 8192  # kernels at a time: the scores of 8192 kernels and 512 codewords are 16 MiB
_BATCH = 16  # candidates evaluated together in a lazy step


def greedy_facility_location(
    kernels: codebook.Floats,
    n: int,
    kernel_size: int = 3,
    *,
    weights: codebook.Floats | None = None,
) -> npt.NDArray[np.int64]:
    r"""n codewords that greedily maximise `f(U) = sum_c v_c max_{u in U} <u, w_c>`.

    `||u - w||^2` differs from `-2 <u, w>` by a constant, so this minimises the distortion of
    the latent kernels. Each step adds the codeword that gains most; `f` is monotone and
    submodular (against the baseline `-||w_c||_1`, below which no score is), so the result is
    at least 1 - 1/e of the optimum, and gains only shrink: a codeword whose gain of an earlier
    step is below the best fresh one is not evaluated again (lazy greedy).

    Args:
        kernels: latent kernels.
        n: how many, at most N.
        kernel_size: k.
        weights: `v_c >= 0`; 1 if None.

    Shape:
        `[C, k*k]`, `[C]` -> `[n]`, in the order of their choice; ties go to the lowest id.

    Example:
        >>> greedy_facility_location(codebook.codewords()[[5, 5, 7]], 2).tolist()
        [5, 7]

    Reference: Nemhauser, Wolsey, Fisher, "An analysis of approximations for maximizing
    submodular set functions", Mathematical Programming 14, 1978; Minoux, "Accelerated greedy
    algorithms for maximizing submodular set functions", 1978 (the lazy form).
    """
    table = codebook.codewords(kernel_size).astype(np.float32)
    w = np.ascontiguousarray(kernels, np.float32)
    v = np.ones(len(w)) if weights is None else np.asarray(weights, np.float64)
    best = -np.abs(w).sum(axis=1)

    def chunks() -> Iterator[slice]:
        return (slice(i, i + _CHUNK) for i in range(0, len(w), _CHUNK))

    def gains(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        total = np.zeros(len(ids))
        for chunk in chunks():
            more = table[ids] @ w[chunk].T
            more -= best[chunk]
            np.maximum(more, 0, out=more)
            total += more @ v[chunk]
        return total

    everything = np.arange(len(table))
    bounds = gains(everything)
    chosen: list[int] = []
    for step in range(n):
        fresh = np.zeros(len(table), bool)
        if step == 1:
            # The first gains are nearly equal, so no bound of theirs would spare anything.
            bounds, fresh = gains(everything), ~fresh
        fresh |= step == 0
        bounds[chosen] = -np.inf
        while not fresh[leader := int(bounds.argmax())]:
            stale = np.flatnonzero(~fresh & np.isfinite(bounds))
            batch = stale[np.argsort(-bounds[stale], kind="stable")[:_BATCH]]
            bounds[batch] = gains(batch)
            fresh[batch] = True
        chosen.append(leader)
        for chunk in chunks():
            np.maximum(best[chunk], w[chunk] @ table[leader], out=best[chunk])
    return np.array(chosen, np.int64)


@register_quantizer("facility_location")
class FacilityLocation(ChosenKernel):
    r"""The n codewords that distort the latent 1-bit kernels least, chosen once, greedily.

    `U = argmax_U sum_c max_{u in U} <u, w_c>` by `greedy_facility_location`; everything else
    as in `ChosenKernel`. Not from a paper on binary networks.

    Example:
        >>> FacilityLocation(16).starts_as
        'sign'
    """

    def choice(self, kernels: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        return greedy_facility_location(kernels, self.codewords, self.kernel_size)
