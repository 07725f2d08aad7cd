r"""The binary codebook: every distinct `k x k` sign pattern, numbered.

`B in {-1, +1}^{N x k*k}` with one codeword per row and `N = 2^(k*k)`: 2 for 1x1, 16 for 2x2,
512 for 3x3. Bit `t` of a codeword's id is 1 where tap `t = ky * k + kx` is -1, so id 0 is
all +1 and `complement(i) = N - 1 - i`. The bit convention is that of LCE's packed words.

NumPy only: the converters and the light runtime use it without TensorFlow.

Reference: Wang et al., "Compacting Binary Neural Networks by Sparse Kernel Selection",
CVPR 2023, arXiv:2303.14470, section 3 (the paper's B is the transpose of ours).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.selection.facility_location import greedy_facility_location

__all__ = [
    "KERNEL_SIZES",
    "codebook_size",
    "codewords",
    "complement",
    "covering",
    "decode",
    "encode",
    "nearest",
    "place_values",
    "validate_ids",
]

KERNEL_SIZES = (1, 2, 3)
"""Kernel sizes that have an enumerable codebook; 4x4 would need 65,536 codewords."""

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]


def codebook_size(kernel_size: int = 3) -> int:
    """`N = 2^(k*k)`: 2, 16 or 512.

    Raises:
        ValueError: for a kernel size without an enumerable codebook.

    Example:
        >>> [codebook_size(k) for k in KERNEL_SIZES]
        [2, 16, 512]
    """
    if kernel_size not in KERNEL_SIZES:
        raise ValueError(
            f"Expected a kernel size of 1, 2 or 3, got {kernel_size}: a {kernel_size}x"
            f"{kernel_size} codebook cannot be enumerated. Use ste_sign for that layer."
        )
    return int(2 ** (kernel_size * kernel_size))


@functools.cache
def _codewords(kernel_size: int) -> npt.NDArray[np.float32]:
    ids = np.arange(codebook_size(kernel_size))
    table = decode(ids, kernel_size).astype(np.float32)
    table.setflags(write=False)
    return table


def codewords(kernel_size: int = 3) -> npt.NDArray[np.float32]:
    """The codebook `B`, read-only.

    Shape:
        -> `[N, k*k]`, entries -1 and +1, row `i` is codeword `i`.

    Example:
        >>> codewords(1)
        array([[ 1.],
               [-1.]], dtype=float32)
    """
    return _codewords(kernel_size)


def validate_ids(ids: npt.ArrayLike, kernel_size: int = 3) -> Ids:
    """`ids` as int64, or a `ValueError` that names the first bad one."""
    array = np.asarray(ids)
    if not np.issubdtype(array.dtype, np.integer):
        what = f"dtype {array.dtype}" if array.size else "an empty list"
        raise ValueError(f"Expected integer codeword ids, got {what}.")
    size = codebook_size(kernel_size)
    bad = array[(array < 0) | (array >= size)]
    if bad.size:
        raise ValueError(f"Expected codeword ids in [0, {size - 1}], got {bad.flat[0]}.")
    return array.astype(np.int64)


def decode(ids: npt.ArrayLike, kernel_size: int = 3) -> npt.NDArray[np.int8]:
    """Ids to sign patterns.

    Shape:
        `[...]` -> `[..., k*k]`, entries -1 and +1.

    Raises:
        ValueError: ids that are no integers in [0, N - 1].

    Example:
        >>> decode([0, 1, 511]).tolist()[1]
        [-1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    array = validate_ids(ids, kernel_size)
    taps = np.arange(kernel_size * kernel_size)
    negative = (array[..., np.newaxis] >> taps) & 1
    return (1 - 2 * negative).astype(np.int8)


def place_values(kernel_size: int = 3) -> Ids:
    """What a -1 at each tap adds to a codeword's id.

    Example:
        >>> place_values(2).tolist()
        [1, 2, 4, 8]
    """
    return 1 << np.arange(codebook_size(kernel_size).bit_length() - 1, dtype=np.int64)


def encode(patterns: npt.ArrayLike, kernel_size: int = 3) -> Ids:
    """Sign patterns (or latent weights) to ids; the sign of 0 is +1, as in larq and LCE.

    Shape:
        `[..., k*k]` -> `[...]`.

    Raises:
        ValueError: patterns of another length.

    Example:
        >>> encode([[-1, 1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1, 0]]).tolist()
        [1, 0]
    """
    array = np.asarray(patterns)
    places = place_values(kernel_size)
    if array.ndim == 0 or array.shape[-1] != len(places):
        raise ValueError(f"Expected patterns of shape [..., {len(places)}], got {array.shape}.")
    return (array < 0).astype(np.int64) @ places


def complement(ids: npt.ArrayLike, kernel_size: int = 3) -> Ids:
    """The ids of the negated codewords.

    Raises:
        ValueError: as `decode`.

    Example:
        >>> complement([0, 7]).tolist()
        [511, 504]
    """
    return codebook_size(kernel_size) - 1 - validate_ids(ids, kernel_size)


def nearest(
    kernels: npt.ArrayLike, ids: npt.ArrayLike | None = None, kernel_size: int = 3
) -> Ids:
    r"""The nearest codeword of each kernel.

    `argmin_{u in U} ||u - w||^2 = argmax_{u in U} <u, w>`, because all codewords have the same
    norm: one matmul instead of a `[C, n, k*k]` distance tensor. Ties go to the lowest id, so
    over the whole codebook this equals `encode(kernels)`.

    Args:
        kernels: latent kernels.
        ids: the subset U; the whole codebook if None.
        kernel_size: k.

    Shape:
        `[C, k*k]` -> `[C]`, codeword ids.

    Raises:
        ValueError: as `decode`, for ids, and as `encode`, for kernels.
    """
    if ids is None:
        return encode(kernels, kernel_size)
    subset = np.sort(validate_ids(ids, kernel_size))
    scores = np.asarray(kernels, np.float32) @ codewords(kernel_size)[subset].T
    return np.asarray(subset[np.argmax(scores, axis=-1)])


@functools.lru_cache(maxsize=64)
def _covering(n: int, kernel_size: int, seed: int) -> tuple[int, ...]:
    table = codewords(kernel_size)
    kernels = np.random.default_rng(seed).standard_normal((4096, table.shape[1]))
    return tuple(greedy_facility_location(kernels, n, table).tolist())


def covering(n: int, kernel_size: int = 3, *, seed: int = 0) -> Ids:
    r"""n codewords that lie close to every kernel: greedy facility location.

    Maximises `sum_c max_{u in U} <u, w_c>` over 4096 kernels `w_c ~ N(0, I)`, one codeword at
    a time, which reaches at least 1 - 1/e of the optimum (the objective is submodular).

    Args:
        n: how many, at most N.
        kernel_size: k.
        seed: of the kernels; other seeds give other, equally good coverings.

    Raises:
        ValueError: n is not in [1, N].

    Example:
        >>> len(set(covering(32).tolist()))
        32

    Reference: Nemhauser, Wolsey, Fisher, "An analysis of approximations for maximizing
    submodular set functions", Mathematical Programming 14, 1978.
    """
    if not 1 <= n <= codebook_size(kernel_size):
        raise ValueError(f"Expected n in [1, {codebook_size(kernel_size)}], got {n}.")
    return np.array(_covering(int(n), kernel_size, seed), np.int64)
