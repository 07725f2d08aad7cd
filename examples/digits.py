"""The images that the examples use if you bring none."""

from __future__ import annotations

import numpy as np


def digits() -> dict[str, np.ndarray]:
    """1,797 images of 8x8 in [-1, 1], bundled with scikit-learn; every fifth is for testing."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images[..., np.newaxis] / 8 - 1).astype("float32")
    test = np.arange(len(x)) % 5 == 4
    return {
        "x_train": x[~test],
        "y_train": bunch.target[~test],
        "x_test": x[test],
        "y_test": bunch.target[test],
    }
