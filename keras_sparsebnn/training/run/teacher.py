"""The float network that a run learns from, read from a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.data import Dataset
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.saved_models import load_model, model_file

__all__ = ["Teacher"]


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
