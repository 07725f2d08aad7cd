"""The accuracy of a file, measured on the whole test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.pretrained.model import PretrainedModel

__all__ = ["evaluate", "held_out"]

Split = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def held_out(dataset: str, data_dir: str | None = None) -> Split:
    """The images and labels that a model is tested on.

    Takes no TensorFlow for digits, which scikit-learn brings, and for CIFAR-10 in its own
    binary format; other data sets are TFDS's.

    Args:
        dataset: see `data.load`.
        data_dir: likewise.

    Shape:
        -> `[N, H, W, C]` of integers, `[N]`.

    Raises:
        SparseBNNError: the data cannot be had.
    """
    from keras_sparsebnn.data import cifar10, digits

    if dataset == "digits":
        return digits.read()[1]
    if dataset == "cifar10" and data_dir is not None:
        found = cifar10.find(Path(data_dir).expanduser())
        if found is not None:
            return cifar10.read(found)[1]
    from keras_sparsebnn.data import load

    split = load(dataset, data_dir=data_dir)
    batches = list(split.test(1000))
    images = np.concatenate([images.numpy() for images, _ in batches])
    raw = np.rint((images + 1) * split.half_range).astype(np.uint8)
    return raw, np.concatenate([labels.numpy() for _, labels in batches])


def evaluate(
    model: PretrainedModel,
    kind: str = "subbit",
    *,
    data_dir: str | None = None,
    runtime: str = "auto",
) -> float:
    """The share of test images that a file classifies as their labels say.

    Args:
        model: see `load`.
        kind: which of its files.
        data_dir: where the data set lies.
        runtime: see `runtime.Interpreter`.

    Raises:
        SparseBNNError: the data or a runtime is missing, or the data are not those of the card.
    """
    images, labels = held_out(model.card["data"]["name"], data_dir)
    if len(images) != model.card["data"]["test_images"]:
        raise SparseBNNError(
            f"Expected the {model.card['data']['test_images']} test images of the model "
            f"{model.name}, got {len(images)}."
        )
    scores = np.asarray(
        model.interpreter(kind, runtime=runtime).predict(model.prepared(images))
    )
    return float(np.mean(scores.argmax(axis=-1) == labels))
