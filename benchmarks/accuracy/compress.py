"""Ways to compress one trained 1-bit network: which codewords, how many in which layer.

    python -m benchmarks.accuracy.compress --data-dir FOLDER   # goes on with compress.json

Per seed, the network `small` trains on CIFAR-10 as plain 1-bit. Then `ksb.restrict` compresses
it in each of these ways, and all train on, from the same weights and with the same batches:

    one_bit            not at all
    random             n random codewords
    facility_location  n codewords by facility location, `restrict`'s default
    structured         these, and structured logits exchange them for half of the training left
    allocate           facility location with the n of each layer from `ksb.allocate`, under the
                       bits that n codewords in every layer take, codebooks included

About 5 minutes of one core a seed; a seed that is in the file is not run again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy import seed_runs
from keras_sparsebnn._keras import keras
from keras_sparsebnn.data import Dataset
from keras_sparsebnn.models import small
from keras_sparsebnn.quantizers import FacilityLocation, FixedSubset, SparseKernel
from keras_sparsebnn.transforms.allocation import allocate, kernel_bits
from keras_sparsebnn.transforms.batch_norm import reestimate_batch_norm
from keras_sparsebnn.transforms.restriction import restrict

OUT = Path(__file__).with_name("compress.json")
WIDTHS = (16, 16, 32, 32, 64, 64)
BATCH, EPOCHS, RATE = 128, 4, 3e-3
EPOCHS_AFTER, RATE_AFTER = 2, 1e-3
SIZES = (16, 32)
PROBED = 8
"""Batches that `allocate` measures: 1,024 training images."""
SETTING = {
    **{"dataset": "cifar10", "network": "small", "widths": WIDTHS, "augmentation": "crop_flip"},
    **{"batch_size": BATCH, "epochs": EPOCHS, "learning_rate": RATE},
    **{"epochs_after": EPOCHS_AFTER, "learning_rate_after": RATE_AFTER},
    **{"probed_batches": PROBED, "policy": "mixed_bfloat16"},
}
Way = Callable[[keras.Model, int], keras.Model]


def fit(
    model: keras.Model,
    dataset: Dataset,
    seed: int,
    epochs: range,
    rate: float,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Trains by Adam, the rate falling by a cosine to 0."""
    steps = dataset.steps(BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(rate, len(epochs) * steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, ["accuracy"])
    for epoch in epochs:
        model.fit(dataset.train(epoch, seed, BATCH), callbacks=list(callbacks), verbose=0)


def accuracy(model: keras.Model, dataset: Dataset, seed: int) -> float:
    """On the test split, batch norm measured anew."""
    reestimate_batch_norm(model, dataset.train(0, seed, BATCH), steps=100)
    found = model.evaluate(dataset.test(500), verbose=0, return_dict=True)
    return round(float(found["accuracy"]), 4)


def structured(dataset: Dataset, seed: int) -> Callable[..., SparseKernel]:
    """Structured logits from facility location, which stop after half of the training left."""
    last = EPOCHS_AFTER * dataset.steps(BATCH) // 2
    options = {"initial_selection": "facility_location", "freeze_step": last, "seed": seed}
    return functools.partial(SparseKernel, **options)


def ways(dataset: Dataset, seed: int) -> dict[str, Way]:
    """Name -> a copy of a trained model, compressed to about the bits of n codewords."""
    random = functools.partial(FixedSubset, seed=seed)

    def by_layer(model: keras.Model, n: int) -> keras.Model:
        probed = list(dataset.train(0, seed, BATCH).take(PROBED))
        budget = bits_per_weight([n] * len(WIDTHS))
        return restrict(model, allocate(model, probed, bits_per_weight=budget))

    return {
        "random": lambda model, n: restrict(model, n, kernel_quantizer=random),
        "facility_location": lambda model, n: restrict(model, n),
        "structured": lambda model, n: restrict(
            model, n, kernel_quantizer=structured(dataset, seed)
        ),
        "allocate": by_layer,
    }


def bits_per_weight(codewords: Sequence[int]) -> float:
    """Of all binary layers together, with their codebooks; `codewords`: n of each."""
    kernels = [before * own for before, own in zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False)]
    bits = sum(map(kernel_bits, kernels, codewords))
    return bits / (9 * sum(kernels))


def codewords_of(model: keras.Model) -> list[int]:
    """n of each binary layer."""
    quantizers = (getattr(layer, "kernel_quantizer", None) for layer in model.layers)
    kinds = (FacilityLocation, FixedSubset, SparseKernel)
    return [q.codewords if isinstance(q, kinds) else 512 for q in quantizers if q is not None]


def runs_of(dataset: Dataset, seed: int) -> list[dict[str, Any]]:
    """One training, and what becomes of it in every way."""
    keras.utils.set_random_seed(seed)
    model = small(
        dataset.input_shape, dataset.classes, kernel_quantizer="ste_sign", widths=WIDTHS
    )
    fit(model, dataset, seed, range(EPOCHS), RATE)
    before, weights = accuracy(model, dataset, seed), model.get_weights()
    later = range(EPOCHS, EPOCHS + EPOCHS_AFTER)
    found: list[dict[str, Any]] = []

    def train_on(name: str, n: int, compressed: keras.Model) -> None:
        row: dict[str, Any] = {"seed": seed, "way": name, "codewords": n, "before": before}
        row["by_layer"] = codewords_of(compressed)
        row["bits_per_weight"] = round(bits_per_weight(row["by_layer"]), 4)
        fit(compressed, dataset, seed, later, RATE_AFTER)
        found.append({**row, "test_accuracy": accuracy(compressed, dataset, seed)})
        print(found[-1], flush=True)

    for name, way in ways(dataset, seed).items():
        for n in SIZES:
            train_on(name, n, way(model, n))
            model.set_weights(weights)
    train_on("one_bit", 512, model)
    return found


if __name__ == "__main__":
    seed_runs.main(__doc__, OUT, SETTING, runs_of, seeds=5)
