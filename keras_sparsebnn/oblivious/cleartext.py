"""The circuit in the clear: 64 images at a time, one in each bit of NumPy's words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS, Bits
from keras_sparsebnn.oblivious.circuit import LayerInputs, classify
from keras_sparsebnn.oblivious.program import Program

__all__ = ["Lanes", "evaluate"]

_IMAGES = 64
Words64 = npt.NDArray[np.uint64]


class Lanes:
    """`circuit.Words` where each channel has an element of its own."""

    def concatenate(self, parts: Sequence[Bits], axis: int = 0) -> Bits:
        return np.concatenate(parts, axis)

    def zeros_like(self, x: Bits) -> Bits:
        return x ^ x

    def pad(self, x: Bits, before: tuple[int, int], after: tuple[int, int]) -> Bits:
        return np.pad(x, [(0, 0), *zip(before, after, strict=True), (0, 0)])

    def window(
        self, x: Bits, start: tuple[int, int], stop: tuple[int, int], step: tuple[int, int]
    ) -> Bits:
        rows, columns = map(slice, start, stop, step)
        return x[:, rows, columns]

    def spread(self, taps: Sequence[Bits], channels: int) -> Bits:
        return np.concatenate([np.moveaxis(tap, -1, 0) for tap in taps])[..., None]

    def only(self, x: Bits, channels: int) -> Bits:
        return x

    def pairs(self, x: Bits, level: int) -> tuple[Bits, Bits, Bits | None]:
        even = x.shape[-1] // 2 * 2
        rest = x[..., even:] if x.shape[-1] % 2 else None
        return x[..., 0:even:2], x[..., 1:even:2], rest


def evaluate(
    program: Program, images: npt.ArrayLike, accumulator: str = "lba"
) -> npt.NDArray[np.int64]:
    """The class that the circuit gives for each image; equal to LCE's.

    Args:
        program: of an LCE file.
        images: float `[B, H, W, C]`, as the network takes them.
        accumulator: one of `ACCUMULATORS`; all give the same.

    Raises:
        ObliviousError: for images that do not fit.

    Shape:
        `[B, H, W, C]` -> `[B]`.
    """
    bits = program.architecture.bits(images)
    inputs = [
        {name: _constant(value) for name, value in layer.items()} for layer in program.secrets
    ]
    classes = [
        _classify_64(program, bits[start : start + _IMAGES], inputs, accumulator)
        for start in range(0, len(bits), _IMAGES)
    ]
    return np.concatenate(classes)[: len(bits)]


def _classify_64(
    program: Program,
    bits: npt.NDArray[np.bool_],
    inputs: Sequence[LayerInputs],
    accumulator: str,
) -> npt.NDArray[np.int64]:
    octets = np.zeros((*bits.shape[1:], 8), np.uint8)
    packed = np.packbits(np.moveaxis(bits, 0, -1), axis=-1, bitorder="little")
    octets[..., : packed.shape[-1]] = packed
    x: Words64 = octets.view("<u8")[..., 0][None]
    planes = classify(program.architecture, x, inputs, Lanes(), ACCUMULATORS[accumulator])
    place = np.zeros(_IMAGES, np.int64)
    for k, plane in enumerate(planes):
        octets = np.atleast_1d(plane[0, 0]).astype("<u8").view(np.uint8)
        place |= np.unpackbits(octets, bitorder="little").astype(np.int64) << k
    return place


def _constant(value: npt.NDArray[np.bool_]) -> Words64:
    """The same bit for all images."""
    return np.where(value, np.uint64(2**64 - 1), np.uint64(0))
