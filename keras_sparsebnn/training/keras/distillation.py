"""Learning from a teacher's answers as well as from labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_sparsebnn._keras import keras, tf

__all__ = ["DistilledModel", "distillation_loss"]


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
