"""How many codewords each layer needs: bits where they matter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn._rules import CANDIDATES
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import FixedSubset, validate_codewords
from keras_sparsebnn.selection.budget import cheapest_choice
from keras_sparsebnn.selection.facility_location import greedy_facility_location
from keras_sparsebnn.transforms.batch_norm import normalise_by_batch
from keras_sparsebnn.transforms.kernels import latent_kernel
from keras_sparsebnn.transforms.restriction import replaced_options, restrict
from keras_sparsebnn.transforms.walk import leaf_layers

__all__ = ["CodewordProbe", "allocate", "kernel_bits", "sensitivity"]

Batches = Iterable[tuple[tf.Tensor, tf.Tensor]]
Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def allocate(
    model: keras.Model,
    data: Batches,
    *,
    bits_per_weight: float = 0.5,
    candidates: Sequence[int] = CANDIDATES,
    loss: Loss | None = None,
) -> dict[str, int]:
    r"""n for each binary 3x3 layer of a trained 1-bit `model`, under a budget.

    Minimises `sum_l (L(l, n_l) - L)` subject to `sum_l bits(l, n_l) <= bits_per_weight 9 sum_l
    C_l`, where `L(l, n)` is the loss with layer l alone restricted to n codewords, see
    `sensitivity`, and `C_l` the number of its kernels. A layer takes `C_l log2(n) + 9 n` bits,
    the codebook counted: in a small layer it outweighs the kernels; or `9 C_l` as 1-bit.
    It takes the layers' losses to add up, and measures them before any training with codewords.

    Args:
        model: built, Sequential or functional; unchanged. What `restrict` takes.
        data: some batches of images and labels, gone through several times: a list, or a
            `tf.data.Dataset` of fixed order.
        bits_per_weight: the budget, in (0, 1].
        candidates: the n that a layer may get, powers of two; 512 leaves it as it is.
        loss: of labels and outputs, a mean over the batch; the model's compiled one if None.

    Returns:
        Layer names to n: the argument `codewords` of `restrict` and of every network's builder.

    Raises:
        SparseBNNError: no data, batches of other parts, no loss, a budget below that of the
            smallest candidate, layers of one name, or a model that `restrict` refuses.
        ValueError: an impossible candidate.

    Example:
        >>> from keras_sparsebnn.models import small
        >>> model = small((8, 8, 1), 10, kernel_quantizer="ste_sign")
        >>> images = tf.random.stateless_normal([4, 8, 8, 1], [1, 2])
        >>> data = [(images, tf.constant([0, 1, 2, 3]))]
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> chosen = allocate(model, data, bits_per_weight=0.5, candidates=(8, 32), loss=loss)
        >>> sorted(chosen) == [f"binary{i}" for i in range(5)]
        True
    """
    if not 0 < bits_per_weight <= 1:
        raise SparseBNNError(
            f"Expected `bits_per_weight` to be a number in (0, 1], got {bits_per_weight!r:.60}."
        )
    losses = sensitivity(model, data, candidates=candidates, loss=loss)
    names = list(losses)
    kernels = {
        layer.name: int(np.prod(latent_kernel(layer).shape[2:]))
        for _, layer in leaf_layers(model)
        if layer.name in losses
    }
    costs = [list(losses[name].values()) for name in names]
    sizes = [[kernel_bits(kernels[name], n) for n in losses[name]] for name in names]
    chosen = cheapest_choice(costs, sizes, bits_per_weight * 9 * sum(kernels.values()))
    return {name: list(losses[name])[i] for name, i in zip(names, chosen, strict=True)}


def kernel_bits(kernels: int, codewords: int) -> float:
    """Bits of a layer's 3x3 kernels with their codebook; 512 codewords need none.

    Example:
        >>> kernel_bits(256, 16), kernel_bits(256, 512)
        (1168.0, 2304.0)
    """
    if codewords == 512:
        return 9.0 * kernels
    return kernels * math.log2(codewords) + 9 * codewords


def sensitivity(
    model: keras.Model,
    data: Batches,
    *,
    candidates: Sequence[int] = CANDIDATES,
    loss: Loss | None = None,
) -> dict[str, dict[int, float]]:
    """How much the loss rises if one layer alone is restricted to n codewords.

    The codewords are chosen by facility location from the layer's latent kernels. Batch norm
    uses the statistics of each batch, since those that were measured in training no longer fit.
    All else is in inference mode: no dropout, no noise.

    Arguments and errors as in `allocate`.

    Returns:
        Layer name -> n -> rise of the mean loss; 0 for n = 512.
    """
    for n in candidates:
        validate_codewords(n)
    if len(set(candidates)) < len(candidates) or not candidates:
        raise SparseBNNError(f"Expected different candidates, got {list(candidates)}.")
    measure = loss if loss is not None else getattr(model, "loss", None)
    if not callable(measure):
        raise SparseBNNError(
            "Expected a compiled model with a loss object, or `loss`, got "
            f"{measure!r:.60}. Give loss=tf.keras.losses...."
        )
    probe = CodewordProbe(model)
    normalise_by_batch(probe.model)

    @tf.function(reduce_retracing=True)
    def loss_of(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(measure(labels, probe.model(images, training=False)))

    def mean_loss() -> float:
        values = [float(loss_of(*_images_and_labels(batch))) for batch in data]
        if not values:
            raise SparseBNNError("Expected at least one batch to measure, got none.")
        return float(np.mean(values))

    base = mean_loss()
    rises: dict[str, dict[int, float]] = {}
    for name in probe.layers:
        rises[name] = {}
        for n in sorted(candidates):
            probe.restrict(name, n)
            rises[name][n] = mean_loss() - base if n < 512 else 0.0
        probe.restrict(name, 512)
    return rises


def _images_and_labels(batch: object) -> tuple[tf.Tensor, tf.Tensor]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        parts = len(batch) if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise SparseBNNError(
            f"Expected batches of two parts, images and labels, got {parts}. Leave others out."
        )
    return batch[0], batch[1]


class CodewordProbe:
    """A copy of a trained 1-bit model in which each layer's n can be changed at any time.

    Codewords are chosen by facility location from the layers' latent kernels. At first no layer
    is restricted.

    Args:
        model: what `restrict` takes; unchanged.

    Attributes:
        model: the copy.
        layers: names of the layers, in the model's order.

    Raises:
        SparseBNNError: as of `restrict`; layers of one name.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = restrict(model, 256, kernel_quantizer=FixedSubset)
        self._found = _probed(model, self.model)
        self.layers = tuple(self._found)
        for name in self.layers:
            self.restrict(name, 512)

    def restrict(self, name: str, n: int) -> None:
        """Gives a layer n codewords, 512 for none of its own."""
        layer, ranking = self._found[name]
        quantizer, latent = layer.kernel_quantizer, latent_kernel(layer)
        if n < 512:
            # The quantizer has 256 slots: n codewords, again and again.
            quantizer.selection.assign(np.resize(ranking[:n], 256))
        quantizer.enter("codewords" if n < 512 else "sign", latent)


def _probed(
    model: keras.Model, probe: keras.Model
) -> dict[str, tuple[keras.layers.Layer, npt.NDArray[np.int64]]]:
    """Layer name -> the layer in the probe, and 256 codewords, the best first."""
    found: dict[str, tuple[keras.layers.Layer, npt.NDArray[np.int64]]] = {}
    for (_, original), (_, layer) in zip(leaf_layers(model), leaf_layers(probe), strict=True):
        if replaced_options(original) is None:
            continue
        if layer.name in found:
            raise SparseBNNError(
                f"Expected layers of different names, got {layer.name} twice. Rename one."
            )
        latent = layer.kernel_quantizer._binarised_latent(latent_kernel(layer))
        kernels = latent.numpy().reshape(9, -1).T
        # A greedy choice of n is the first n of a greedy choice of more.
        ranking = greedy_facility_location(kernels, 256, codebook.codewords(3))
        found[layer.name] = layer, ranking
    return found
