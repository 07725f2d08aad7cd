"""What the process that `benchmark` starts feeds a model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from keras_sparsebnn.runtime.worker import random_inputs


class TestRandomInputs:
    def test_by_dtype(self):
        types = [np.dtype(t) for t in (np.float32, np.int8, np.uint8, np.int32, np.bool_)]
        interpreter = SimpleNamespace(input_shapes=[(1, 5000)] * 5, input_types=types)
        floats, int8, uint8, int32, booleans = random_inputs(interpreter)
        assert [a.dtype for a in (floats, int8, uint8, int32, booleans)] == types
        # Standard error of the mean 1/sqrt(5000) = 0.014, of the deviation 0.01.
        assert abs(floats.mean()) < 0.08
        assert abs(floats.std() - 1) < 0.06
        assert (int8.min(), int8.max(), uint8.min(), uint8.max()) == (-128, 127, 0, 255)
        assert not int32.any()
        assert not booleans.any()
