"""Learning from a teacher's answers as well as from labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.data import Dataset
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.saved_models import load_model, model_file

__all__ = ["DistilledModel", "Teacher", "distillation_loss"]


def distillation_loss(
    labels_loss: Callable[[Any, Any], Any], classes: int, weight: float, temperature: float
) -> Callable[[Any, Any], Any]:
    r"""A Keras loss for labels, and for labels that come with a teacher's logits `t`.

        (1 - w) CE(labels, s) + w T^2 KL(softmax(t / T) || softmax(s / T))

    Without `t` it is CE alone: that is what evaluation sees. Gradients of KL are those of the
    cross entropy with the teacher's distribution, which ReActNet minimises; w = T = 1 there.

    Args:
        labels_loss: CE, `(labels, logits) -> [B]`.
        classes: C.
        weight: w in (0, 1].
        temperature: T > 0.

    Shape:
        targets `[B]` or `[B, 1]`, or `[B, 1 + C]` with `t` behind the label; logits `[B, C]`
        -> `[B]`.

    Reference: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
    arXiv:1503.02531, section 2. Deviates: KL in place of the cross entropy, whose minimum is
    not 0; w is the teacher's share and 1 - w the labels'.
    """

    def loss(targets: Any, logits: Any) -> Any:
        if targets.shape[-1] != 1 + classes or targets.shape.rank != 2:
            return labels_loss(targets, logits)
        log_p = tf.nn.log_softmax(targets[:, 1:] / temperature)
        log_q = tf.nn.log_softmax(logits / temperature)
        divergence = tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=-1)
        total = weight * temperature**2 * divergence
        if weight < 1:
            labels = tf.cast(targets[:, 0], tf.int64)
            total += (1 - weight) * labels_loss(labels, logits)
        return total

    return loss


class DistilledModel(keras.Model):  # type: ignore[misc]
    """A functional model that trains on a teacher's logits, if one was set.

    Compile it with `distillation_loss`. The teacher is no part of it: neither its weights nor
    its checkpoints nor its clones know it.

    Example:
        >>> x = keras.layers.Input((3,))
        >>> model = DistilledModel(x, keras.layers.Dense(2)(x))
        >>> model.set_teacher(lambda pictures: pictures[:, :2])
    """

    def set_teacher(self, teacher: Callable[[Any], Any]) -> None:
        """`teacher`: pictures `[B, H, W, C]` -> logits `[B, classes]`."""

        def answers(pictures: Any) -> Any:
            return tf.stop_gradient(tf.cast(teacher(pictures), tf.float32))

        # A function, where Keras does not look for weights.
        self._teacher_logits: Callable[[Any], Any] = answers

    def train_step(self, data: Any) -> dict[str, Any]:
        """One update; see `keras.Model.train_step`."""
        pictures, labels = data
        answers = self._teacher_logits(pictures)
        targets = tf.concat([tf.cast(labels[:, tf.newaxis], tf.float32), answers], axis=1)
        with tf.GradientTape() as tape:
            logits = self(pictures, training=True)
            loss = self.compute_loss(pictures, targets, logits, None)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        metrics: dict[str, Any] = self.compute_metrics(pictures, labels, logits, None)
        return metrics


class Teacher:
    """A Keras model from a file, as a function from pictures to logits.

    A model that ends in a softmax is undone: the logarithm of its output are logits. Everything
    else is taken for logits. It gets pictures as the student does, in [-1, 1].

    Args:
        source: a run's folder, a `.keras` or an `.h5` file. Loaded without running code from
            elsewhere, see `saved_models`.
        dataset: whose pictures and classes it has to fit.

    Raises:
        SparseBNNError: no such file, a damaged one, or of other shapes.
    """

    def __init__(self, source: str | Path, dataset: Dataset) -> None:
        path = model_file(str(Path(source).expanduser()))
        model = load_model(path)
        shapes = [tuple(t.shape) for t in (*model.inputs, *model.outputs)]
        # Networks that take any size are fine.
        expected = [(None, *dataset.input_shape), (None, dataset.classes)]
        if len(shapes) != 2 or not all(
            len(a) == len(b) and all(x in (None, y) for x, y in zip(a, b, strict=True))
            for a, b in zip(shapes, expected, strict=True)
        ):
            raise SparseBNNError(
                f"Expected a teacher from {expected[0][1:]} to {expected[1][1:]}, got one from "
                f"{' and '.join(str(s[1:]) for s in shapes[:-1])} to {shapes[-1][1:]} ({path})."
            )
        model.trainable = False
        self.model = model
        self._gives_probabilities = _ends_in_softmax(model)

    def __call__(self, pictures: Any) -> Any:
        answers = tf.cast(self.model(pictures, training=False), tf.float32)
        if self._gives_probabilities:
            return tf.math.log(tf.maximum(answers, 1e-30))
        return answers

    def sha256(self) -> str:
        """Of its weights, so that a run cannot go on with another teacher."""
        digest = hashlib.sha256()
        for weight in self.model.get_weights():
            digest.update(weight.tobytes())
        return digest.hexdigest()

    def accuracy(self, batches: Any) -> float:
        """The fraction of pictures that it classifies as their labels say."""
        metric = keras.metrics.SparseCategoricalAccuracy()
        answer = tf.function(self.__call__)
        for pictures, labels in batches:
            metric.update_state(labels, answer(pictures))
        return float(metric.result())


def _ends_in_softmax(model: Any) -> bool:
    last = model.layers[-1]
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    softmax = getattr(last, "activation", None)
    return isinstance(last, keras.layers.Softmax) or softmax is keras.activations.softmax
