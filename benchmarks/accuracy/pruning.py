"""Pruning 512 codewords to n step by step, a method that the library does not have.

    python -m benchmarks.accuracy.pruning --data-dir FOLDER   # goes on with pruning.json

Each binary layer of the network `small` on CIFAR-10 starts with all 512 codewords. From 10 to
50 % of the training it loses those that its latent kernels need least, until n are left, with
    kept(t) = 512 (n / 512)^t,   t in [0, 1] between the two.
Beside it, from the same start and with the same batches: n random codewords, and the library's
default, facility location after 30 % in 1 bit.

It is also how to write and train a method of your own: a subclass of `SubsetKernel`, and a
callback that changes its selection between two steps. About 12 minutes of one core a seed; a
seed that is in the file is not run again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy import seed_runs
from benchmarks.accuracy.compress import BATCH, EPOCHS, RATE, SIZES, WIDTHS, accuracy, fit
from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras
from keras_sparsebnn.data import Dataset
from keras_sparsebnn.models import small
from keras_sparsebnn.quantizers import FacilityLocation, FixedSubset, SubsetKernel
from keras_sparsebnn.quantizers.register import register_quantizer
from keras_sparsebnn.training import StageSchedule
from keras_sparsebnn.transforms.kernels import latent_kernel

OUT = Path(__file__).with_name("pruning.json")
FIRST, LAST, EVERY = 0.1, 0.5, 50
"""Pruning starts and ends at these fractions of the training; steps between two cuts."""
CHOOSE_AFTER = 0.3
SETTING = {
    **{"dataset": "cifar10", "network": "small", "widths": WIDTHS, "augmentation": "crop_flip"},
    **{"batch_size": BATCH, "epochs": EPOCHS, "learning_rate": RATE},
    **{"first": FIRST, "last": LAST, "every": EVERY, "choose_after": CHOOSE_AFTER},
    **{"policy": "mixed_bfloat16"},
}
Ids = npt.NDArray[np.int64]


def least_missed(kernels: npt.NDArray[np.float32], ids: Ids, kept: int) -> Ids:
    """Drops codewords, at most an eighth at a time, until `kept` are left.

    The cost of dropping u_j is what its kernels lose when they go over to their second best:
    `sum_{c: what_c = u_j} <u_j, w_c> - max_{u != u_j} <u, w_c>`.

    Shape:
        `[C, 9]`, `[m]` -> `[kept]`, in the order of `ids`.
    """
    table = codebook.codewords(3)
    while len(ids) > kept:
        scores = kernels @ table[ids].T
        second, best = np.partition(scores, -2, axis=1)[:, -2:].T
        cost = np.bincount(scores.argmax(1), best - second, len(ids))
        left = max(kept, len(ids) - max(1, len(ids) // 8))
        ids = ids[np.sort(np.argsort(-cost, kind="stable")[:left])]
    return ids


@register_quantizer("pruned", package="benchmarks")
class Pruned(SubsetKernel):
    """All 512 codewords at first, fewer with every `prune`, n in the end."""

    # Twice the places that are needed: one that is left fills the others. With exactly 512 the
    # estimator would take them for the whole codebook, in which the nearest codeword is a sign.
    PLACES = 1024

    def _initial_selection(self) -> Ids:
        return np.resize(np.arange(codebook.codebook_size(self.kernel_size)), self.PLACES)

    def prune(self, latent: npt.NDArray[np.float32], kept: int) -> None:
        """Keeps the codewords that `latent` `[3, 3, Cin, Cout]` would miss most."""
        ids = np.unique(self.selection.numpy())
        ids = least_missed(latent.reshape(9, -1).T, ids, kept)
        self.selection.assign(np.resize(ids, self.PLACES))


class Pruning(keras.callbacks.Callback):
    """Prunes all layers on its way from 512 codewords to n."""

    def __init__(self, n: int, total_steps: int) -> None:
        super().__init__()
        self.n = n
        self.first, self.last = round(FIRST * total_steps), round(LAST * total_steps)

    def kept(self, step: int) -> int:
        """The codewords of a layer in optimizer step `step`."""
        share = min(max((step - self.first) / (self.last - self.first), 0.0), 1.0)
        return round(512 * (self.n / 512) ** share)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        step = int(self.model.optimizer.iterations.numpy())
        due = step == self.last or (step - self.first) % EVERY == 0
        if not due or not self.first <= step <= self.last:
            return
        for layer in self.model.layers:
            quantizer = getattr(layer, "kernel_quantizer", None)
            if isinstance(quantizer, Pruned):
                quantizer.prune(latent_kernel(layer).numpy(), self.kept(step))


Way = tuple[Callable[..., SubsetKernel], list[keras.callbacks.Callback]]


def ways(n: int, steps: int, seed: int) -> dict[str, Way]:
    """Name -> the quantizer of every layer, and what changes it during `steps` steps."""
    chosen = StageSchedule({CHOOSE_AFTER: "codewords"}, total_steps=steps)
    return {
        "random": (functools.partial(FixedSubset, seed=seed), []),
        "facility_location": (FacilityLocation, [chosen]),
        "pruned": (Pruned, [Pruning(n, steps)]),
    }


def codewords_in_use(model: keras.Model) -> list[int]:
    """Distinct codewords of each layer's selection."""
    quantizers = (getattr(layer, "kernel_quantizer", None) for layer in model.layers)
    subsets = [q for q in quantizers if isinstance(q, SubsetKernel)]
    return [len(np.unique(q.selection.numpy())) for q in subsets]


def runs_of(dataset: Dataset, seed: int) -> list[dict[str, Any]]:
    """One seed: every way at every n, from one start and with the same batches."""
    found: list[dict[str, Any]] = []
    steps = EPOCHS * dataset.steps(BATCH)
    for n in SIZES:
        for name, (quantizer, callbacks) in ways(n, steps, seed).items():
            keras.utils.set_random_seed(seed)
            model = small(
                dataset.input_shape,
                dataset.classes,
                codewords=n,
                kernel_quantizer=quantizer,
                widths=WIDTHS,
            )
            fit(model, dataset, seed, range(EPOCHS), RATE, callbacks)
            row = {"seed": seed, "way": name, "codewords": n}
            row["by_layer"] = codewords_in_use(model)
            found.append({**row, "test_accuracy": accuracy(model, dataset, seed)})
            print(found[-1], flush=True)
    return found


if __name__ == "__main__":
    seed_runs.main(__doc__, OUT, SETTING, runs_of, seeds=3)
