"""A model that learns from a teacher's answers as well as from labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_sparsebnn._keras import keras, lq, tf

__all__ = ["DistilledModel"]


@lq.utils.register_keras_custom_object  # .h5 files have plain names
@keras.utils.register_keras_serializable("keras_sparsebnn")
class DistilledModel(keras.Model):  # type: ignore[misc]
    """A functional model that trains on a teacher's logits, once one is set.

    Compile it with `DistillationLoss`. The teacher is no part of it: neither its weights nor
    its checkpoints nor its clones nor its files know it, so set it again after loading.
    Without a teacher, the model trains on labels alone.

    Example:
        >>> x = keras.layers.Input((3,))
        >>> model = DistilledModel(x, keras.layers.Dense(2)(x))
        >>> model.set_teacher(lambda images: images[:, :2])
    """

    # A function, where Keras does not look for weights.
    _teacher_logits: Callable[[tf.Tensor], tf.Tensor] | None = None

    def set_teacher(self, teacher: Callable[[tf.Tensor], tf.Tensor]) -> None:
        """Sets the teacher that training follows from here on.

        Args:
            teacher: images `[B, H, W, C]` -> logits `[B, classes]`, such as a Keras model.
        """

        def answers(images: tf.Tensor) -> tf.Tensor:
            return tf.stop_gradient(tf.cast(teacher(images), tf.float32))

        self._teacher_logits = answers
        self.train_function = None  # one traced with another teacher, or with none

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One update; see `keras.Model.train_step`."""
        if self._teacher_logits is None:
            step: dict[str, tf.Tensor] = super().train_step(data)
            return step
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        answers = self._teacher_logits(images)
        column = tf.cast(tf.reshape(labels, [-1, 1]), tf.float32)
        targets = tf.concat([column, answers], axis=1)
        with tf.GradientTape() as tape:
            # In float32: Keras casts targets, labels among them, to the type of the logits.
            logits = tf.cast(self(images, training=True), tf.float32)
            loss = self.compute_loss(images, targets, logits, weights)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        metrics: dict[str, tf.Tensor] = self.compute_metrics(images, labels, logits, weights)
        return metrics
