"""Greedy facility location: the codewords that lie closest to all kernels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._rules import check, integer
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["greedy_facility_location"]

_CHUNK = 8192  # kernels at a time: the scores of 8192 kernels and 512 codewords are 16 MiB
_BATCH = 16  # candidates evaluated together in a lazy step


def greedy_facility_location(
    kernels: npt.NDArray[np.floating[Any]],
    n: int,
    table: npt.NDArray[np.float32],
    *,
    weights: npt.NDArray[np.floating[Any]] | None = None,
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
        table: the codebook.
        weights: `v_c >= 0`; 1 if None.

    Shape:
        `[C, k*k]`, `[N, k*k]`, `[C]` -> `[n]`, rows of the table in the order of their choice;
        ties go to the first row.

    Raises:
        SparseBNNError: a kernel is not finite, or the table has fewer than n codewords.

    Example:
        >>> table = np.float32([[1, 1], [-1, 1], [1, -1], [-1, -1]])
        >>> greedy_facility_location(table[[1, 1, 2]], 2, table).tolist()
        [1, 2]

    Reference: Nemhauser, Wolsey, Fisher, "An analysis of approximations for maximizing
    submodular set functions", Mathematical Programming 14, 1978; Minoux, "Accelerated greedy
    algorithms for maximizing submodular set functions", 1978 (the lazy form).
    """
    w = np.ascontiguousarray(kernels, np.float32)
    if not np.isfinite(w).all():
        raise SparseBNNError(
            "Expected finite kernels to choose codewords from, got NaN or infinite ones: the "
            "training has diverged. Use a smaller learning rate."
        )
    check("n", n, integer(1, len(table)))
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
