"""How much of a file may be decoded."""

from __future__ import annotations

from keras_sparsebnn.tflite_file import Model, ModelFileError

__all__ = ["DecodingWork"]

_TIMES = 8
"""How many times the file's size: 1, unless operators see the same constant differently."""


class DecodingWork:
    """Bounds the work that a small file can ask for by reading a constant in ever new ways."""

    def __init__(self, model: Model) -> None:
        self._limit = _TIMES * len(model.flat)
        self._done = 0

    def spend(self, size: int) -> None:
        """Counts the bytes of a constant about to be decoded.

        Raises:
            ModelFileError: it is too much.
        """
        self._done += size
        if self._done > self._limit:
            raise ModelFileError(
                f"Expected filters of at most {self._limit} bytes, {_TIMES} times the file, "
                "got more, because they share their constants. The file is damaged."
            )
