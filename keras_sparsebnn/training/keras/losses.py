"""Losses of integer labels: smoothed, and of labels that come with a teacher's logits."""

from __future__ import annotations

from typing import Any

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn._rules import check
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["DistillationLoss", "SmoothedCrossEntropy"]


@lq.utils.register_keras_custom_object  # .h5 files have plain names
@keras.utils.register_keras_serializable("keras_sparsebnn")
class SmoothedCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    r"""Cross entropy of integer labels, a part of which is spread over all classes.

        CE = -sum_c q_c log softmax(s)_c,   q = (1 - a) onehot(label) + a / C

    Args:
        classes: C.
        label_smoothing: a in [0, 1).

    Shape:
        labels `[B]` or `[B, 1]`, logits `[B, C]` -> `[B]` before the reduction.

    Raises:
        SparseBNNError: `label_smoothing` is out of range.

    Reference: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision",
    CVPR 2016, arXiv:1512.00567, section 7. Deviates: nothing.
    """

    def __init__(
        self,
        classes: int,
        label_smoothing: float = 0.0,
        name: str = "smoothed",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        check("label_smoothing", label_smoothing, ("in [0, 1)", lambda v: 0 <= v < 1))
        self.classes = classes
        self.label_smoothing = label_smoothing

    def call(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        labels = tf.one_hot(tf.cast(tf.reshape(labels, [-1]), tf.int32), self.classes)
        return keras.losses.categorical_crossentropy(
            labels, logits, from_logits=True, label_smoothing=self.label_smoothing
        )

    def get_config(self) -> dict[str, Any]:
        config = {"classes": self.classes, "label_smoothing": self.label_smoothing}
        return {**super().get_config(), **config}


@lq.utils.register_keras_custom_object  # .h5 files have plain names
@keras.utils.register_keras_serializable("keras_sparsebnn")
class DistillationLoss(keras.losses.Loss):  # type: ignore[misc]
    r"""A loss of labels, and of labels that come with a teacher's logits `t`.

        (1 - w) CE(labels, s) + w T^2 KL(softmax(t / T) || softmax(s / T))

    Without `t` it is CE alone: that is what evaluation sees. Gradients of KL are those of the
    cross entropy with the teacher's distribution, which ReActNet minimises; w = T = 1 there.

    Args:
        classes: C.
        weight: w in (0, 1].
        temperature: T > 0.
        label_smoothing: of CE, see `SmoothedCrossEntropy`.

    Shape:
        targets `[B]` or `[B, 1]`, or `[B, 1 + C]` with `t` behind the label; logits `[B, C]`
        -> `[B]` before the reduction.

    Raises:
        SparseBNNError: `weight`, `temperature` or `label_smoothing` is out of range.

    Reference: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
    arXiv:1503.02531, section 2. Deviates: KL in place of the cross entropy, whose minimum is
    not 0; w is the teacher's share and 1 - w the labels'.
    """

    def __init__(
        self,
        classes: int,
        weight: float = 1.0,
        temperature: float = 1.0,
        label_smoothing: float = 0.0,
        name: str = "distillation",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not 0 < weight <= 1:
            raise SparseBNNError(f"Expected `weight` in (0, 1], got {weight}.")
        if not temperature > 0:
            raise SparseBNNError(f"Expected `temperature` to be > 0, got {temperature}.")
        self.labels_loss = SmoothedCrossEntropy(classes, label_smoothing)
        self.weight = weight
        self.temperature = temperature

    def call(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        if targets.shape[-1] != 1 + self.labels_loss.classes or targets.shape.rank != 2:
            return self.labels_loss.call(targets, logits)
        log_p = tf.nn.log_softmax(targets[:, 1:] / self.temperature)
        log_q = tf.nn.log_softmax(logits / self.temperature)
        divergence = tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=-1)
        total = self.weight * self.temperature**2 * divergence
        if self.weight < 1:
            labels = tf.cast(targets[:, 0], tf.int64)
            total += (1 - self.weight) * self.labels_loss.call(labels, logits)
        return total

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "classes": self.labels_loss.classes,
            "weight": self.weight,
            "temperature": self.temperature,
            "label_smoothing": self.labels_loss.label_smoothing,
        }
