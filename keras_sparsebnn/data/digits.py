"""Scikit-learn's digits, bundled with it: 1797 images of 8x8 pixels from 0 to 16.

Reference: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, 1998, doi:10.24432/C50P49; its test set.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["CLASSES", "HALF_RANGE", "read"]

CLASSES = 10
HALF_RANGE = 8.0

Split = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def read() -> tuple[Split, Split]:
    """The training and the test split: every fifth image of each class is for testing.

    Shape:
        -> 1442 and 355 of `[N, 8, 8, 1]` and `[N]`.

    Raises:
        SparseBNNError: scikit-learn is missing.
    """
    table = _table()
    images = table[:, :-1].reshape(-1, 8, 8, 1).astype(np.uint8)
    labels = table[:, -1].astype(np.int64)
    rank_in_class = np.zeros_like(labels)
    for label in range(CLASSES):
        rank_in_class[labels == label] = np.arange(np.sum(labels == label))
    held_out = rank_in_class % 5 == 4
    return (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])


def _table() -> npt.NDArray[np.float64]:
    """A row for each image: its pixels, then its label."""
    # Not load_digits(): importing it takes a second, a fifth of a short run.
    spec = find_spec("sklearn")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise SparseBNNError(
            "Expected scikit-learn, which brings the digits, found none. "
            "Run: pip install 'keras-sparsebnn[train]'"
        ) from error
    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target])
