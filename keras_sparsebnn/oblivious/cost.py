"""What a circuit costs: its AND gates. XOR and NOT are free."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence

from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS
from keras_sparsebnn.oblivious.architecture import Architecture, Layer, ObliviousError
from keras_sparsebnn.oblivious.circuit import count_bits, score_bits
from keras_sparsebnn.oblivious.program import Program, read_program

__all__ = ["and_count", "and_counts", "ands_of_count"]


class _Counter:
    """Counts ANDs."""

    ands = 0


class _Bits:
    """Bits without values, of which a counter counts the ANDs: an array `[n]`, or one bit."""

    def __init__(self, counter: _Counter, count: int = 1) -> None:
        self.counter, self.count = counter, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int | slice) -> _Bits:
        if isinstance(index, int):
            return _Bits(self.counter)
        return _Bits(self.counter, len(range(self.count)[index]))

    def __iter__(self) -> Iterator[_Bits]:
        return (_Bits(self.counter) for _ in range(self.count))

    def __xor__(self, other: _Bits) -> _Bits:
        return self

    def __and__(self, other: _Bits) -> _Bits:
        self.counter.ands += self.count
        return self


class _Arrays:
    def concatenate(self, parts: Sequence[_Bits], axis: int = 0) -> _Bits:
        return _Bits(parts[0].counter, sum(map(len, parts)))

    def zeros_like(self, x: _Bits) -> _Bits:
        return x


@functools.lru_cache(maxsize=1024)
def ands_of_count(taps: int, accumulator: str = "lba") -> int:
    """ANDs that count `taps` bits and compare them with a threshold.

    Example:
        >>> [ands_of_count(288, name) for name in ("lba", "tree", "bounded", "fixed")]
        [290, 577, 1811, 2556]
    """
    if accumulator not in ACCUMULATORS:
        raise ObliviousError(
            f"Expected an accumulator of {', '.join(ACCUMULATORS)}, got {accumulator!r}."
        )
    counter = _Counter()
    ACCUMULATORS[accumulator](
        _Bits(counter, taps),
        _Bits(counter, count_bits(taps)),
        _Arrays(),
    )
    return counter.ands


def _ands(layer: Layer, accumulator: str) -> int:
    if layer.kind == "pool":
        return (layer.taps - 1) * layer.outputs
    return layer.outputs * ands_of_count(layer.taps, accumulator)


def _tournament(classes: int, bits: int) -> int:
    """ANDs of the arg max: comparisons, and choices of scores and places so far."""
    ands = places = 0
    while classes > 1:
        pairs, classes = classes // 2, -(-classes // 2)
        ands += pairs * (bits + (bits if classes > 1 else 0) + places)
        places += 1
    return ands


def and_counts(architecture: Architecture, accumulator: str = "lba") -> list[int]:
    """ANDs of each layer for one image; of the last, the arg max included."""
    counts = [_ands(layer, accumulator) for layer in architecture.layers]
    last = architecture.layers[-1]
    counts[-1] += _tournament(architecture.classes, score_bits(last.taps))
    return counts


def and_count(
    model: Architecture | Program | bytes | str | os.PathLike[str], accumulator: str = "lba"
) -> int:
    """ANDs of a whole network for one image: the cost of an oblivious inference.

    Args:
        model: an architecture, a program, or an LCE file or its bytes.
        accumulator: one of `ACCUMULATORS`.

    Raises:
        ObliviousError: it cannot be private, or there is no such accumulator.
        ModelFileError: no .tflite, or a damaged one.
    """
    if isinstance(model, Program):
        model = model.architecture
    if not isinstance(model, Architecture):
        model = read_program(model).architecture
    return sum(and_counts(model, accumulator))
