"""That a converted model gives what Keras gives, in every runtime and format."""

from __future__ import annotations

import numpy as np

from keras_sparsebnn._keras import keras


def assert_runtimes_agree(model: keras.Model, flat: bytes, x: np.ndarray) -> bytes:
    """Keras = LCE = delegate = delegate on the sub-bit file, which is returned."""
    from keras_sparsebnn.converters import convert_file
    from keras_sparsebnn.runtime import Interpreter

    small = convert_file(flat, "subbit")
    for data, runtime in ((flat, "lce"), (flat, "delegate"), (small, "delegate")):
        result = Interpreter(data, runtime=runtime).predict(x)
        np.testing.assert_allclose(result, model(x), rtol=1e-4, atol=1e-4)
    return small
