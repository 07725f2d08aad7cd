"""k-means of real kernels, binarised."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["binarised_centroids"]

_LARGEST_SAMPLE = 65_536  # kernels: over 100 a cluster even at n = 512
_ITERATIONS = 100


def binarised_centroids(
    kernels: npt.NDArray[np.floating[Any]],
    n: int,
    table: npt.NDArray[np.float32],
    *,
    seed: int = 0,
) -> npt.NDArray[np.int64]:
    r"""n distinct codewords next to the centroids of k-means with n clusters.

    A centroid's codeword is its sign pattern. Where two centroids share one, the larger
    cluster keeps it and the other takes the next nearest that is free.

    Args:
        kernels: latent kernels; a random 65,536 of them if there are more.
        n: how many, at most N.
        table: the codebook.
        seed: of k-means++ and of the sample.

    Shape:
        `[C, k*k]`, `[N, k*k]` -> `[n]`, larger clusters first.

    Example:
        >>> from keras_sparsebnn.codebook import codewords
        >>> kernels = codewords()[[5, 5, 7, 7]]
        >>> sorted(binarised_centroids(kernels, 2, codewords()).tolist())
        [5, 7]
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(seed)
    data = np.asarray(kernels, np.float64)
    if len(data) > _LARGEST_SAMPLE:
        data = data[rng.choice(len(data), _LARGEST_SAMPLE, replace=False)]
    clusters = min(n, len(np.unique(data, axis=0)))
    means = KMeans(clusters, n_init=1, max_iter=_ITERATIONS, random_state=seed % 2**32)
    # With several threads the sums' order, and so the last bits, would change from run to run.
    with threadpool_limits(limits=1):
        means.fit(data)
    centroids = means.cluster_centers_
    # Fewer different kernels than n: what is left goes to any free codewords.
    centroids = np.concatenate([centroids, rng.standard_normal((n - clusters, data.shape[1]))])
    sizes = np.bincount(means.labels_, minlength=n)
    chosen: list[int] = []
    for centroid in centroids[np.argsort(-sizes, kind="stable")]:
        scores = table @ centroid
        scores[chosen] = -np.inf
        chosen.append(int(scores.argmax()))
    return np.array(chosen, np.int64)
