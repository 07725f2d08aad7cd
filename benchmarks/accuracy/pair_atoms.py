"""Codewords over pairs of input channels, against codewords over single channels.

    python -m benchmarks.accuracy.pair_atoms --data-dir FOLDER   # goes on with pair_atoms.json

The network `small` trains on Fashion-MNIST as plain 1-bit for 80 % of its steps. Then its
kernels are restricted, in a branch for each codebook, and training goes on: from the same
weights, with the same batches. An *atom* is a sign pattern over the 9 taps of g neighbouring
input channels; g = 1 is a codeword. Greedy facility location chooses n atoms of a layer among
the patterns that its kernels have; a kernel becomes its nearest atom, and gradients pass where
|w| <= 1.

Narrower networks, restricted to 32 codewords in the same way, say what else the same accuracy
costs. About 5 minutes of one core a seed; a seed that is in the file is not run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy import seed_runs
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.data import Dataset
from keras_sparsebnn.estimators import clipped_identity
from keras_sparsebnn.models import small
from keras_sparsebnn.selection.facility_location import greedy_facility_location
from keras_sparsebnn.transforms.batch_norm import reestimate_batch_norm

OUT = Path(__file__).with_name("pair_atoms.json")
EPOCHS, BATCH, RATE, RESTRICT_AT = 2, 128, 3e-3, 0.8
CODEBOOKS = ((1, 4), (1, 8), (1, 16), (1, 32), (2, 64), (2, 128), (2, 256))
"""(channels of an atom, atoms of a layer)."""
WIDTHS = (32, 32, 64, 64, 64)
NARROWER = {0.75: (24, 24, 48, 48, 48), 0.5: (16, 16, 32, 32, 32)}
SETTING = {
    **{"dataset": "fashion_mnist", "network": "small", "epochs": EPOCHS, "batch_size": BATCH},
    **{"learning_rate": RATE, "restrict_at": RESTRICT_AT, "policy": "mixed_bfloat16"},
}
Floats = npt.NDArray[np.float32]


class NearestAtom(lq.quantizers.Quantizer):
    r"""The sign of a kernel, or its nearest atom once there are some.

    Forward:   `what_p = sign(w_p)`, or `argmin_{a in atoms} ||a - w_p||^2`, for each kernel
               `w_p` of `channels` input channels.
    Backward:  `g(w) = g(what) 1[|w| <= 1]`.

    Shape:
        `[3, 3, Cin, Cout]` -> the same.
    """

    precision = 1

    def __init__(self) -> None:
        super().__init__(dtype="float32", autocast=False)
        self.channels = 1
        self.atoms: Floats | None = None

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        w = clipped_identity(tf.cast(inputs, tf.float32), 1.0)
        if self.atoms is None:
            return tf.cast(lq.quantizers.ste_sign(w, clip_value=None), inputs.dtype)
        rows = to_rows(w, self.channels)
        nearest = tf.argmax(tf.matmul(rows, self.atoms, transpose_b=True), axis=1)
        atoms = from_rows(tf.gather(self.atoms, nearest), self.channels, w.shape)
        return tf.cast(w + tf.stop_gradient(atoms - w), inputs.dtype)


def to_rows(kernel: tf.Tensor, channels: int) -> tf.Tensor:
    """A row for each output channel and `channels` input channels: their taps in turn.

    Shape:
        `[3, 3, Cin, Cout]` -> `[Cin / channels * Cout, channels * 9]`.
    """
    inputs, outputs = kernel.shape[2:]
    parted = tf.reshape(kernel, [9, inputs // channels, channels, outputs])
    return tf.reshape(tf.transpose(parted, [1, 3, 2, 0]), [-1, channels * 9])


def from_rows(rows: tf.Tensor, channels: int, shape: Sequence[int]) -> tf.Tensor:
    """The inverse of `to_rows`."""
    parted = tf.reshape(rows, [shape[2] // channels, shape[3], channels, 9])
    return tf.reshape(tf.transpose(parted, [3, 0, 2, 1]), shape)


def facility_location(kernel: Floats, channels: int, count: int) -> Floats:
    """The atoms of a layer.

    Shape:
        `[3, 3, Cin, Cout]` -> `[count, channels * 9]`.
    """
    rows = to_rows(tf.constant(kernel), channels).numpy()
    candidates = np.unique(np.where(rows < 0, np.float32(-1), np.float32(1)), axis=0)
    if len(candidates) <= count:
        return candidates
    return candidates[greedy_facility_location(rows, count, candidates)]


def quantizers(model: keras.Model) -> list[tuple[keras.layers.Layer, NearestAtom]]:
    """Binary layers and what makes their kernels."""
    every = ((layer, getattr(layer, "kernel_quantizer", None)) for layer in model.layers)
    return [(layer, own) for layer, own in every if isinstance(own, NearestAtom)]


class Training:
    """One seed of one network: its steps in order, with branches.

    Args:
        widths: of `small`.
        dataset: what it learns.
        seed: of weights and batches.
    """

    def __init__(self, widths: Sequence[int], dataset: Dataset, seed: int) -> None:
        keras.utils.set_random_seed(seed)
        self.dataset, self.seed = dataset, seed
        self.steps = dataset.steps(BATCH)
        self.model = small(
            dataset.input_shape,
            dataset.classes,
            kernel_quantizer=lambda codewords: NearestAtom(),
            widths=widths,
        )
        rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * self.steps)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(keras.optimizers.Adam(rate), loss, ["accuracy"])
        self.model.optimizer.build(self.model.trainable_variables)
        # What would be deployed: its kernels are +-1 already.
        self.plain = small(
            dataset.input_shape, dataset.classes, kernel_quantizer="ste_sign", widths=widths
        )
        self.plain.compile(loss=loss, metrics=["accuracy"])

    def run(self, first: int, last: int) -> None:
        """Trains steps [first, last)."""
        while first < last:
            epoch, skip = divmod(first, self.steps)
            count = min(self.steps - skip, last - first)
            batches = self.dataset.train(epoch, self.seed, BATCH, skip).take(count)
            self.model.fit(batches, verbose=0)
            first += count

    def restrict(self, channels: int, count: int) -> dict[str, float]:
        """Chooses atoms of every layer.

        Returns:
            `distortion`: the part of the signs that the atoms change. `index_bits`: bits of an
            index, per weight; `bits`: those and the table of atoms, per weight of all layers.
        """
        changed = weights = tables = 0
        for layer, quantizer in quantizers(self.model):
            kernel = layer.get_weights()[0]
            quantizer.channels = channels
            quantizer.atoms = facility_location(kernel, channels, count)
            binary = quantizer.call(tf.constant(kernel)).numpy()
            changed += int(np.sum((binary < 0) != (kernel < 0)))
            weights += kernel.size
            tables += quantizer.atoms.size
        index = np.log2(count) / (9 * channels)
        # What is traced has the atoms as constants.
        self.model.make_train_function(force=True)
        return {
            "distortion": round(changed / weights, 4),
            "index_bits": round(index, 4),
            "bits": round(index + tables / weights, 4),
        }

    def state(self) -> list[Floats]:
        """Everything that training changes."""
        return [v.numpy() for v in (*self.model.variables, *self.model.optimizer.variables)]

    def go_back(self, state: Sequence[Floats]) -> None:
        """To a state; kernels are signs again."""
        variables = (*self.model.variables, *self.model.optimizer.variables)
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        for _, quantizer in quantizers(self.model):
            quantizer.atoms = None
        self.model.make_train_function(force=True)

    def accuracy(self) -> float:
        """On the test split, of the kernels as they are deployed, batch norm measured anew."""
        for layer in self.model.layers:
            weights = layer.get_weights()
            quantizer = getattr(layer, "kernel_quantizer", None)
            if isinstance(quantizer, NearestAtom):
                weights[0] = quantizer.call(tf.constant(weights[0])).numpy()
            if weights:
                self.plain.get_layer(layer.name).set_weights(weights)
        epoch = self.dataset.train(0, self.seed, BATCH)
        reestimate_batch_norm(self.plain, epoch, steps=100)
        found = self.plain.evaluate(self.dataset.test(500), verbose=0, return_dict=True)
        return round(float(found["accuracy"]), 4)


def branches(
    widths: Sequence[int],
    codebooks: Sequence[tuple[int, int] | None],
    dataset: Dataset,
    seed: int,
) -> list[dict[str, Any]]:
    """One training and its branches; None is the unrestricted one."""
    training = Training(widths, dataset, seed)
    end = EPOCHS * training.steps
    start = int(RESTRICT_AT * end)
    training.run(0, start)
    state, found = training.state(), []
    for codebook in codebooks:
        training.go_back(state)
        channels, count = codebook or (1, 512)
        about: Mapping[str, float] = {"distortion": 0.0, "index_bits": 1.0, "bits": 1.0}
        if codebook is not None:
            about = training.restrict(channels, count)
        training.run(start, end)
        row = {"seed": seed, "widths": list(widths), "channels": channels, "atoms": count}
        found.append({**row, **about, "test_accuracy": training.accuracy()})
        print(found[-1], flush=True)
    return found


def runs_of(dataset: Dataset, seed: int) -> list[dict[str, Any]]:
    """One seed: every codebook in `WIDTHS`, and 32 codewords in narrower networks."""
    runs = branches(WIDTHS, [None, *CODEBOOKS], dataset, seed)
    for widths in NARROWER.values():
        runs += branches(widths, [(1, 32)], dataset, seed)
    return runs


if __name__ == "__main__":
    seed_runs.main(__doc__, OUT, SETTING, runs_of, seeds=3)
