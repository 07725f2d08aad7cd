"""k-means of the real kernels, binarised."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn.quantizers.chosen_kernel import ChosenKernel
from keras_sparsebnn.quantizers.register import register_quantizer

__all__ = ["ProductQuantization", "binarised_centroids"]

_LARGEST_SAMPLE = 65_536  # kernels: over 100 a cluster even at n = 512
_ITERATIONS = 100


def binarised_centroids(
    kernels: codebook.Floats, n: int, kernel_size: int = 3, *, seed: int = 0
) -> npt.NDArray[np.int64]:
    r"""n distinct codewords next to the centroids of k-means with n clusters.

    A centroid's codeword is its sign pattern. Where two centroids share one, the larger
    cluster keeps it and the other takes the next nearest that is free.

    Args:
        kernels: latent kernels; a random 65,536 of them if there are more.
        n: how many, at most N.
        kernel_size: k.
        seed: of k-means++ and of the sample.

    Shape:
        `[C, k*k]` -> `[n]`, larger clusters first.

    Example:
        >>> sorted(binarised_centroids(codebook.codewords()[[5, 5, 7, 7]], 2).tolist())
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
    table = codebook.codewords(kernel_size)
    chosen: list[int] = []
    for centroid in centroids[np.argsort(-sizes, kind="stable")]:
        scores = table @ centroid
        scores[chosen] = -np.inf
        chosen.append(int(scores.argmax()))
    return np.array(chosen, np.int64)


@register_quantizer("product_quantization")
class ProductQuantization(ChosenKernel):
    r"""The signs of the n centroids of k-means over the layer's real kernels, chosen once.

    `U = {sign(m_j)}`, `m_1..m_n` the centroids of `w_1..w_C`, made distinct as in
    `binarised_centroids`; everything else as in `ChosenKernel`. Product quantisation with the
    k x k kernels as its sub-vectors.

    Example:
        >>> ProductQuantization(16).starts_as
        'sign'

    Reference: Jegou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search", TPAMI
    2011; for convolutions, Stock et al., "And the Bit Goes Down", ICLR 2020, arXiv:1907.05686.
    Deviates: centroids are binarised, and kept as they are afterwards, because a centroid that
    is trained on is no codeword.
    """

    def choice(self, kernels: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        return binarised_centroids(kernels, self.codewords, self.kernel_size, seed=self.seed)
