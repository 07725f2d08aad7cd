"""32 output channels in a uint32, for SPU: an AND of words is 32 ANDs of bits.

The same circuit is traced by JAX, and SPU runs what comes out: XOR, shifts and masks by public
numbers are local, only an AND of two secrets talks to the other side. With NumPy it computes in
the clear, for tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS, Bits
from keras_sparsebnn.oblivious.architecture import Architecture
from keras_sparsebnn.oblivious.circuit import classify, layer_shapes

__all__ = ["PackedWords", "Words32", "class_of", "input_shapes", "packed"]

WORD = 32
Words32 = npt.NDArray[np.uint32]


def packed(bits: npt.NDArray[np.bool_]) -> Words32:
    """Bit c of word w is channel `32 w + c`.

    Shape:
        bool `[..., C]` -> uint32 `[..., ceil(C / 32)]`.

    Example:
        >>> packed(np.array([[True, False, True]])).tolist()
        [[5]]
    """
    octets = np.packbits(bits, axis=-1, bitorder="little")
    words = -(-bits.shape[-1] // WORD)
    padded = np.zeros((*bits.shape[:-1], 4 * words), np.uint8)
    padded[..., : octets.shape[-1]] = octets
    return padded.view("<u4").astype(np.uint32)


def input_shapes(
    architecture: Architecture, batch: int
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Name -> shape of words, of the server's inputs and of the client's."""
    columns = -(-len(architecture.encoding) // WORD)
    server: dict[str, tuple[int, ...]] = {
        f"{name}{number}": (count, -(-channels // WORD))
        for number, layer in enumerate(architecture.layers)
        for name, (count, channels) in layer_shapes(layer).items()
    }
    return server, {"image": (batch, *architecture.input[:2], columns)}


def class_of(
    architecture: Architecture, given: dict[str, Bits], words: PackedWords, accumulator: str
) -> Bits:
    """The circuit from the inputs of both sides, by name, to the number of each image's class.

    Shape:
        words as in `input_shapes` -> uint32 `[B]`.
    """
    layers = [
        {name: given[f"{name}{number}"] for name in layer_shapes(layer)}
        for number, layer in enumerate(architecture.layers)
    ]
    place = classify(architecture, given["image"], layers, words, ACCUMULATORS[accumulator])
    one = np.uint32(1)
    total = place[0][:, 0] & one
    for k, plane in enumerate(place[1:], 1):
        total = total ^ ((plane[:, 0] & one) << np.uint32(k))
    return total


class PackedWords:
    """`circuit.Words` of arrays of NumPy, or of JAX while it traces."""

    def __init__(self, library: ModuleType = np, lax: ModuleType | None = None) -> None:
        self.library, self.lax = library, lax

    def concatenate(self, parts: Sequence[Bits], axis: int = 0) -> Bits:
        return self.library.concatenate(list(parts), axis)

    def pad(self, x: Bits, before: tuple[int, int], after: tuple[int, int]) -> Bits:
        # SPU's own padding makes sums of bits, and every AND after it bits of sums again.
        for axis in (1, 2):
            edge = self.zeros_like(x[:, :1] if axis == 1 else x[:, :, :1])
            edges = [edge] * before[axis - 1], [edge] * after[axis - 1]
            x = self.concatenate([*edges[0], x, *edges[1]], axis) if any(edges) else x
        return x

    def zeros_like(self, x: Bits) -> Bits:
        # XLA would make a public zero of `x ^ x`, which SPU joins with bits as `pad` does.
        return x >> np.uint32(WORD - 1) >> np.uint32(1)

    def window(
        self, x: Bits, start: tuple[int, int], stop: tuple[int, int], step: tuple[int, int]
    ) -> Bits:
        if self.lax is None:
            rows, columns = map(slice, start, stop, step)
            return x[:, rows, columns]
        # With steps, JAX makes a gather of brackets, which SPU has no short way for.
        return self.lax.slice(x, (0, *start, 0), (len(x), *stop, x.shape[-1]), (1, *step, 1))

    def spread(self, taps: Sequence[Bits], channels: int) -> Bits:
        x = self.library.stack(list(taps))[..., None]
        bit = x >> np.arange(WORD, dtype=np.uint32) & np.uint32(1)
        for shift in (1, 2, 4, 8, 16):  # all of the word, and no bit beyond
            bit = bit ^ (bit << np.uint32(shift))
        bit = bit.reshape(*bit.shape[:-2], -1)[..., :channels]
        bit = self.library.moveaxis(bit, -1, 1)
        return bit.reshape(-1, *bit.shape[2:], 1)

    def only(self, x: Bits, channels: int) -> Bits:
        return x & packed(np.ones((1, channels), np.bool_))[0]

    def pairs(self, x: Bits, level: int) -> tuple[Bits, Bits, Bits | None]:
        if level < WORD.bit_length() - 1:
            return x, x >> np.uint32(1 << level), None
        even = x.shape[-1] // 2 * 2
        rest = x[..., even:] if x.shape[-1] % 2 else None
        return x[..., 0:even:2], x[..., 1:even:2], rest
