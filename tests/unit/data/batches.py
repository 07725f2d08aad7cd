"""What a data set's batches hold."""

from __future__ import annotations

import numpy as np

from keras_sparsebnn._keras import tf


def arrays(batches: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """All images and labels."""
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)
