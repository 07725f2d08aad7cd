"""What both sides know: the shapes of a network, and how an image becomes bits.

No weight and no threshold of a layer is in it, except those that make bits of pixels, which the
client computes itself. As JSON it can travel from one side to the other, which believes nothing
of it before it is checked.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["FRACTION_BITS", "Architecture", "Layer", "ObliviousError"]

FRACTION_BITS = 16
"""Fractional bits of the last layer's biases: scores within 2^-15 of a match are a tie."""

MAX_LAYERS = 64
MAX_EXTENT = 4096
MAX_BITS = 2**24
"""The most bits of a map, whose sides are at most `MAX_EXTENT`."""
MAX_PRODUCTS = 2**33
"""Products of a whole network, an hour of work: no file or peer makes us count further."""

_VERSION = 1


class ObliviousError(SparseBNNError):
    """This network cannot be private, or this is no architecture of one that can."""


@dataclass(frozen=True)
class Layer:
    """One layer: a convolution with thresholds, a max pool of bits, or the scores.

    Attributes:
        kind: "convolution", "pool" or "scores", the last one.
        input: rows, columns, channels of its input.
        output: the same of its output; of "scores", 1, 1, classes.
        kernel: rows and columns of its window.
        stride: of the window.
        pads: rows above and columns to the left that are padded, with +1, which is bit 0. What
            is missing below and on the right is padded, too.
    """

    kind: str
    input: tuple[int, int, int]
    output: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int]

    @property
    def taps(self) -> int:
        """Bits that each output is computed from: `N = Kh Kw Cin`, or `Kh Kw` of a pool."""
        return math.prod(self.kernel) * (1 if self.kind == "pool" else self.input[2])

    @property
    def outputs(self) -> int:
        """How many bits, or scores, it has."""
        return math.prod(self.output)

    def check(self) -> None:
        """Raises `ObliviousError` unless the numbers are those of a layer."""
        extents = (*self.input, *self.output, *self.kernel, *self.stride)
        fits = self.kind in ("convolution", "pool", "scores")
        fits &= all(1 <= extent <= MAX_EXTENT for extent in extents)
        if fits:
            channels = self.input[2] if self.kind == "pool" else self.output[2]
            fits = self.output[2] == channels
            for side in (0, 1):
                # Every window has a pixel of the map.
                last = (self.output[side] - 1) * self.stride[side] - self.pads[side]
                fits &= 0 <= self.pads[side] < self.kernel[side] and last < self.input[side]
        if self.kind == "scores":
            fits &= self.output[:2] == (1, 1) and self.output[2] >= 2
        if not fits:
            raise ObliviousError(f"Expected the shapes of a layer, got {asdict(self)}.")


@dataclass(frozen=True)
class Architecture:
    """A network's public part.

    Attributes:
        input: rows, columns, channels of an image.
        encoding: of each bit of a pixel, (channel, threshold): it is 1 where the channel's
            value is below the threshold.
        layers: in order; the last one, and no other, is "scores".
    """

    input: tuple[int, int, int]
    encoding: tuple[tuple[int, float], ...]
    layers: tuple[Layer, ...]

    @property
    def classes(self) -> int:
        """How many."""
        return self.layers[-1].output[2]

    def check(self) -> None:
        """Raises `ObliviousError` unless layers fit each other, within bounds."""
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise ObliviousError(f"Expected 1 to {MAX_LAYERS} layers, got {len(self.layers)}.")
        if not 1 <= len(self.encoding) <= MAX_EXTENT or not all(
            0 <= channel < self.input[2] and math.isfinite(threshold)
            for channel, threshold in self.encoding
        ):
            raise ObliviousError("Expected bits of the image's own channels, got others.")
        shape = (*self.input[:2], len(self.encoding))
        for number, layer in enumerate(self.layers):
            layer.check()
            if layer.input != shape:
                raise ObliviousError(
                    f"Expected a layer for maps of {shape}, got {layer.input} (layer {number})."
                )
            if (layer.kind == "scores") != (number == len(self.layers) - 1):
                raise ObliviousError(
                    f"Expected scores as the last layer, got {layer.kind} (layer {number} of "
                    f"{len(self.layers)})."
                )
            shape = layer.output
        products = sum(layer.taps * layer.outputs for layer in self.layers)
        if products > MAX_PRODUCTS:
            raise ObliviousError(
                f"Expected at most {MAX_PRODUCTS} binary products, got {products}."
            )
        largest = max(math.prod(layer.input) for layer in self.layers)
        if largest > MAX_BITS:
            raise ObliviousError(f"Expected maps of at most {MAX_BITS} bits, got {largest}.")

    def bits(self, images: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """The client's bits.

        Shape:
            float `[B, H, W, C]` -> bool `[B, H, W, bits of a pixel]`.

        Raises:
            ObliviousError: for images of another shape, or with values that are no numbers.
        """
        values = np.asarray(images, np.float32)
        if values.ndim != 4 or values.shape[1:] != self.input or not len(values):
            raise ObliviousError(
                f"Expected images of shape [B, {', '.join(map(str, self.input))}], got "
                f"{list(values.shape)}."
            )
        if not np.isfinite(values).all():
            raise ObliviousError("Expected finite pixels, got NaN or infinity.")
        channels = [channel for channel, _ in self.encoding]
        thresholds = np.array([threshold for _, threshold in self.encoding], np.float32)
        return np.asarray(values[..., channels] < thresholds)

    def to_json(self) -> dict[str, Any]:
        """As it is sent to the other side."""
        return {"version": _VERSION, **asdict(self)}

    @property
    def digest(self) -> str:
        """SHA-256 of the JSON: sides that have the same have the same circuit."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @staticmethod
    def from_json(data: object) -> Architecture:
        """The inverse of `to_json`, for data that may be anything.

        Raises:
            ObliviousError: it is not one that `check` accepts.
        """
        try:
            fields = dict(_mapping(data))
            if fields.pop("version") != _VERSION:
                raise ObliviousError(f"Expected an architecture of version {_VERSION}.")
            layers = fields["layers"]
            if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
                raise ObliviousError(f"Expected a list of at most {MAX_LAYERS} layers.")
            architecture = Architecture(
                _integers(fields["input"], 3),
                tuple((int(channel), float(value)) for channel, value in fields["encoding"]),
                tuple(_layer(_mapping(layer)) for layer in layers),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, ObliviousError):
                raise
            raise ObliviousError("Expected an architecture, got something else.") from error
        architecture.check()
        return architecture


def _mapping(data: object) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise TypeError(type(data).__name__)
    return data


def _integers(data: object, count: int) -> Any:
    if not isinstance(data, list) or len(data) != count or {type(x) for x in data} != {int}:
        raise TypeError("not integers")
    return tuple(data)


def _layer(data: Mapping[str, Any]) -> Layer:
    counts = {"input": 3, "output": 3, "kernel": 2, "stride": 2, "pads": 2}
    shapes = {name: _integers(data[name], count) for name, count in counts.items()}
    return Layer(kind=str(data["kind"]), **shapes)
