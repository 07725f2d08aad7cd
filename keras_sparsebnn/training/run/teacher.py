"""The float network that a run learns from, read from a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.data import Dataset
from keras_sparsebnn.saved_models import load_model, model_file

__all__ = ["Teacher"]


class Teacher:
    """A Keras model from a file, as a function from images to logits.

    Where it ends in a softmax, the logarithm of its output are its logits; every other output
    is taken for logits. It gets images as the student does, in [-1, 1].

    Args:
        source: a run's folder, a `.keras` or an `.h5` file. Loaded without running code from
            elsewhere, see `saved_models`.
        dataset: whose images and classes it has to fit.

    Raises:
        SparseBNNError: no such file, a damaged one, or of other shapes.
    """

    def __init__(self, source: str | Path, dataset: Dataset) -> None:
        path = model_file(str(Path(source).expanduser()))
        model = load_model(path)
        dataset.check_fits(model, "teacher", str(path))
        model.trainable = False
        self.model = model
        self._gives_probabilities = _ends_in_softmax(model)

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        answers = tf.cast(self.model(images, training=False), tf.float32)
        if self._gives_probabilities:
            return tf.math.log(tf.maximum(answers, 1e-30))
        return answers

    def sha256(self) -> str:
        """The digest of its weights, so that a run cannot go on with another teacher."""
        digest = hashlib.sha256()
        for weight in self.model.get_weights():
            digest.update(weight.tobytes())
        return digest.hexdigest()

    def accuracy(self, batches: tf.data.Dataset) -> float:
        """The fraction of images that it classifies as their labels say."""
        metric = keras.metrics.SparseCategoricalAccuracy()
        answer = tf.function(self.__call__, autograph=False)
        for images, labels in batches:
            metric.update_state(labels, answer(images))
        return float(metric.result())


def _ends_in_softmax(model: keras.Model) -> bool:
    last = model.layers[-1]
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    softmax = getattr(last, "activation", None)
    return isinstance(last, keras.layers.Softmax) or softmax is keras.activations.softmax
