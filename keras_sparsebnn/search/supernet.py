"""What is searched in a network: its genes, what they cost, and how good a choice is."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn._rules import CANDIDATES
from keras_sparsebnn.analysis.accounting import BinaryConv
from keras_sparsebnn.analysis.summaries import geometries, summary
from keras_sparsebnn.data import Dataset
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import SearchableGroupsConv2D
from keras_sparsebnn.search.budget import Budget, Costs
from keras_sparsebnn.search.evolution import Candidate, Genes
from keras_sparsebnn.transforms.allocation import CodewordProbe
from keras_sparsebnn.transforms.batch_norm import BatchNormStatistics
from keras_sparsebnn.transforms.cloning import clone_with
from keras_sparsebnn.transforms.restriction import replaced_options, restrict

__all__ = ["Evaluator", "Supernet", "export", "measured_latency"]

RUNS = 50
"""Inferences that a latency is the median of."""


class Supernet:
    """The searched layers of a model.

    Args:
        model: built. Of "groups", one with `SearchableGroupsConv2D`; of "codewords", a trained
            1-bit network, what `restrict` takes.
        over: "groups" or "codewords".
        choices: n of each layer, with "codewords"; 512 leaves it as it is.

    Attributes:
        space: from the layers' names to their choices, in the model's order.
        costs: what candidates cost.

    Raises:
        SparseBNNError: nothing to search.
    """

    def __init__(
        self, model: keras.Model, over: str, choices: Sequence[int] = CANDIDATES
    ) -> None:
        self.model = model
        self.over = over
        self.space: dict[str, tuple[int, ...]] = {}
        layers: list[Mapping[int, BinaryConv]] = []
        fixed: list[BinaryConv] = []
        for layer, conv, is_sum in geometries(model):
            found = () if is_sum else self._choices_of(layer, choices)
            if not found:
                fixed.append(conv)
                continue
            self.space[layer.name] = found
            layers.append({choice: self._changed(conv, choice) for choice in found})
        if not self.space:
            wanted = (
                'groups that are searched. Build it with groups="search"'
                if over == "groups"
                else "binary 3x3 kernels of 1 bit. Train it so first"
            )
            raise SparseBNNError(f"Expected a network with {wanted} ({model.name}).")
        self.costs = Costs(layers, fixed, summary(model).other_parameters)

    def _choices_of(self, layer: keras.layers.Layer, choices: Sequence[int]) -> tuple[int, ...]:
        if self.over == "groups":
            return layer.choices if isinstance(layer, SearchableGroupsConv2D) else ()
        return tuple(choices) if replaced_options(layer) is not None else ()

    def _changed(self, conv: BinaryConv, choice: int) -> BinaryConv:
        if self.over == "codewords":
            return dataclasses.replace(conv, codewords=choice)
        channels = conv.channels_in * conv.groups
        return dataclasses.replace(conv, channels_in=channels // choice, groups=choice)

    def options(self, genes: Genes) -> dict[str, int]:
        """Layers' names to their choices."""
        return dict(zip(self.space, genes, strict=True))


def export(model: keras.Model, genes: Mapping[str, int], over: str = "groups") -> keras.Model:
    """The network of some genes, with the weights that it shares in a supernet, trainable.

    Batch norm is that of the supernet, which no candidate fits: measure it again with
    `reestimate_batch_norm`, then train on; or train the network from scratch.

    Args:
        model: the supernet, which keeps its choices; with "codewords" the 1-bit network.
        genes: from layer names to choices, each layer's.
        over: "groups" or "codewords".

    Returns:
        With "groups" a copy in which each `SearchableGroupsConv2D` is a `SparseBinaryConv2D`,
        after a `ChannelShuffle` if it has more groups than one; else what `restrict` makes.

    Raises:
        SparseBNNError: genes that do not fit the model.
        ValueError: a choice that the layer does not have.
    """
    if over == "codewords":
        return restrict(model, genes)
    _check_names(Supernet(model, over).space, genes)
    before = {name: model.get_layer(name).chosen for name in genes}
    try:
        for name, choice in genes.items():
            model.get_layer(name).choose(choice)
        exported, pairs = clone_with(
            model, lambda x: x.grouped() if isinstance(x, SearchableGroupsConv2D) else None
        )
        for layer, copy in pairs:
            if isinstance(layer, SearchableGroupsConv2D):
                layer.copy_into(copy)
    finally:
        for name, choice in before.items():
            model.get_layer(name).choose(choice)
    return exported


def _check_names(space: Mapping[str, object], genes: Mapping[str, int]) -> None:
    if set(space) != set(genes):
        raise SparseBNNError(
            f"Expected genes of the layers {', '.join(space)}, got {', '.join(genes)}."
        )


class Evaluator:
    """Tells how good candidates are, with the weights that they share.

    Sums of a layer scale with 1/g, and batch norm's statistics of a supernet are those of no
    single candidate: they are measured again for each, over batches of training images. The
    score is the accuracy on the dataset's test split, which a search takes out of the training
    split (`holdout`).

    Args:
        supernet: trained.
        dataset: what it was trained on.
        budget: candidates over it get no score.
        batch_size: of both splits.
        batches: training batches for batch norm.
        seed: of their order.
    """

    def __init__(
        self,
        supernet: Supernet,
        dataset: Dataset,
        budget: Budget,
        *,
        batch_size: int = 128,
        batches: int = 10,
        seed: int = 0,
    ) -> None:
        self._supernet = supernet
        self._budget = budget
        self._probe = CodewordProbe(supernet.model) if supernet.over == "codewords" else None
        model = supernet.model if self._probe is None else self._probe.model
        self.model = model
        self._statistics = BatchNormStatistics(model, compiled=True)
        self._train = dataset.train(0, seed, batch_size).take(batches)
        self._test = dataset.test(batch_size)

        @tf.function(reduce_retracing=True)
        def hits(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            answers = tf.argmax(model(images, training=False), axis=-1, output_type=tf.int64)
            return tf.reduce_sum(tf.cast(answers == tf.cast(labels, tf.int64), tf.int64))

        self._hits = hits

    def choose(self, genes: Genes) -> None:
        """Makes `model` the network of some genes; batch norm stays what it was."""
        for name, choice in self._supernet.options(genes).items():
            if self._probe is None:
                self.model.get_layer(name).choose(choice)
            else:
                self._probe.restrict(name, choice)

    def __call__(self, genes: Genes) -> Candidate:
        """The candidate of some genes."""
        self.choose(genes)
        kind = self._budget.kind
        cost = (
            measured_latency(self.model)
            if kind == "latency_ms"
            else self._supernet.costs(genes, kind)
        )
        within = cost <= self._budget.limit
        return Candidate(genes, cost, self._accuracy() if within else None)

    def _accuracy(self) -> float:
        self._statistics.measure(self._train)
        found = total = 0
        for images, labels in self._test:
            found += int(self._hits(images, labels))
            total += int(labels.shape[0])
        return found / total


def measured_latency(model: keras.Model) -> float:
    """Median milliseconds of an inference of its LCE file, by one thread in the delegate.

    Raises:
        SparseBNNError: it cannot be converted, or no runtime is installed.
    """
    from keras_sparsebnn.converters import convert_keras_model
    from keras_sparsebnn.runtime.benchmark import benchmark

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candidate.tflite"
        path.write_bytes(convert_keras_model(model))
        (timing,) = benchmark([path], runtime="delegate", runs=RUNS)
    return timing.median_ms
