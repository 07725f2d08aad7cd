"""A trained model in a folder: its `.tflite` files, its card and the run that made it.

    models/digits/card.json             what it is and how good, see `card`
                  run.json              its settings; `sparsebnn train --recipe run.json`
                  record.json           the run's outcome, as `sparsebnn experiment` records one
                  lce.tflite            for Larq Compute Engine
                  subbit.tflite         codebook indices, for the delegate
                  subbit_int8.tflite    the same, with its other weights in int8
                  samples.npy           a test image of each class

`benchmarks/pretrained` makes these folders.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_sparsebnn._files import read_json
from keras_sparsebnn.errors import SparseBNNError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from keras_sparsebnn.runtime import Interpreter

__all__ = ["FOLDER", "KINDS", "SAMPLES", "PretrainedModel", "load", "names"]

FOLDER = Path(__file__).with_name("models")

SAMPLES = "samples.npy"

KINDS = ("lce", "subbit", "subbit_int8")
"""Its files: 1 bit a weight; below 1 bit; below 1 bit, other weights in int8."""


@dataclasses.dataclass(frozen=True)
class PretrainedModel:
    """One trained network, without TensorFlow.

    Attributes:
        folder: holds its files.
        card: what `card.json` holds.

    Example:
        >>> model = load("digits")
        >>> model.name, model.labels[:3], model.input_shape
        ('digits', ['0', '1', '2'], (8, 8, 1))
        >>> model.accuracy("subbit") > 0.9
        True
    """

    folder: Path
    card: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As given to `load`."""
        return str(self.card["name"])

    @property
    def labels(self) -> list[str]:
        """The names of the classes; the files hold them, too, as `labels.txt`."""
        return list(self.card["labels"])

    @property
    def samples(self) -> npt.NDArray[np.uint8]:
        """A test image of each class, the first that all three files classify right.

        Shape:
            `[classes, H, W, C]`, integers as the data set has them, see `prepared`.

        Example:
            >>> model = load("digits")
            >>> model.samples.shape
            (10, 8, 8, 1)
            >>> model.classify(model.samples[:3])
            ['0', '1', '2']
        """
        import numpy as np

        samples: npt.NDArray[np.uint8] = np.load(self.folder / SAMPLES, allow_pickle=False)
        return samples

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Height, width, channels of an image."""
        return tuple(self.card["input"]["shape"])

    def path(self, kind: str = "subbit") -> Path:
        """The path of a file.

        Raises:
            SparseBNNError: no such kind.
        """
        if kind not in KINDS:
            raise SparseBNNError(
                f"Expected `kind` to be one of {', '.join(KINDS)}, got {kind!r:.40}."
            )
        return self.folder / f"{kind}.tflite"

    def accuracy(self, kind: str = "subbit") -> float:
        """On the whole test set, as the card has it; `evaluation.evaluate` measures it."""
        return float(self.card["files"][self.path(kind).name]["accuracy"])

    def interpreter(
        self, kind: str = "subbit", *, num_threads: int = 1, runtime: str = "auto"
    ) -> Interpreter:
        """Loads a file.

        Args:
            kind: one of `KINDS`.
            num_threads: see `runtime.Interpreter`.
            runtime: likewise.

        Raises:
            SparseBNNError: no runtime is installed, or an option is wrong.
        """
        from keras_sparsebnn.runtime import Interpreter

        return Interpreter(self.path(kind), num_threads=num_threads, runtime=runtime)

    def prepared(self, images: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Images as the network takes them, in [-1, 1].

        Args:
            images: integers from 0 to the card's `input.maximum` (255, for digits 16).

        Shape:
            `[N, H, W, C]`, or `[N, H, W]` where C is 1 -> `[N, H, W, C]`.

        Raises:
            SparseBNNError: another shape, no integers, or some out of range.
        """
        import numpy as np

        raw = np.asarray(images)
        if raw.shape[1:] == self.input_shape[:2] and self.input_shape[2] == 1:
            raw = raw[..., np.newaxis]
        if raw.ndim != 4 or raw.shape[1:] != self.input_shape or raw.dtype.kind not in "iu":
            shape = ", ".join(map(str, self.input_shape))
            raise SparseBNNError(
                f"Expected images of integers, [N, {shape}], got {raw.dtype} of shape "
                f"{list(raw.shape)}."
            )
        maximum = self.card["input"]["maximum"]
        if raw.size and not (raw.min() >= 0 and raw.max() <= maximum):
            raise SparseBNNError(
                f"Expected images of integers from 0 to {maximum}, got {raw.min()} to "
                f"{raw.max()}."
            )
        half_range = np.float32(maximum / 2)
        return raw.astype(np.float32) / half_range - np.float32(1)

    def classify(self, images: npt.ArrayLike, kind: str = "subbit") -> list[str]:
        """The label of each image.

        Args:
            images: see `prepared`.
            kind: one of `KINDS`.

        Raises:
            SparseBNNError: images that do not fit, or no runtime.
        """
        import numpy as np

        scores = np.asarray(self.interpreter(kind).predict(self.prepared(images)))
        return [self.labels[index] for index in scores.argmax(axis=-1)]


def names() -> list[str]:
    """The models that there are.

    Example:
        >>> "digits" in names()
        True
    """
    return sorted(path.parent.name for path in FOLDER.glob("*/card.json"))


def load(name: str) -> PretrainedModel:
    """The model of that name.

    Raises:
        SparseBNNError: there is none.
    """
    if name not in names():
        raise SparseBNNError(f"Expected a model out of {', '.join(names())}, got {name!r:.60}.")
    return PretrainedModel(FOLDER / name, read_json(FOLDER / name / "card.json"))
