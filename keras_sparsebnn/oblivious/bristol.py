"""The circuit as a file that other engines read: Bristol Fashion.

    gates wires
    2 CLIENT SERVER          two inputs and how many bits each has
    1 BITS                   one output: the class, lowest bit first

    2 1 a b out XOR | 2 1 a b out AND | 1 1 a out INV

The client's bits are numbered by row, column, bit of the pixel; the server's by layer, input
(`circuit.layer_shapes`), bit, output channel. The output's wires are the last.

Reference: "(Bristol Fashion) MPC Circuits", Archer et al., the format's public description.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._files import replaced
from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS, Bits
from keras_sparsebnn.oblivious.architecture import Architecture, ObliviousError
from keras_sparsebnn.oblivious.circuit import classify, layer_shapes
from keras_sparsebnn.oblivious.cleartext import Lanes
from keras_sparsebnn.oblivious.cost import and_count
from keras_sparsebnn.oblivious.program import Program, Secrets

__all__ = ["MAX_ANDS", "input_bits", "write_bristol"]

MAX_ANDS = 50_000_000
"""Its file would have several GB."""

Numbers = npt.NDArray[np.int64]


class _Tape:
    """Gates, written as they come."""

    def __init__(self, file: IO[str], inputs: int) -> None:
        self.file, self.wires, self.gates = file, inputs, 0

    def gate(self, name: str, *operands: Numbers) -> Numbers:
        out = np.arange(self.wires, self.wires + operands[0].size)
        self.wires += out.size
        self.gates += out.size
        head = f"{len(operands)} 1"
        columns = [operand.reshape(-1).tolist() for operand in operands]
        self.file.writelines(
            f"{head} {' '.join(map(str, row))} {name}\n"
            for row in zip(*columns, out.tolist(), strict=True)
        )
        return out.reshape(operands[0].shape)


class Wires:
    """An array of wires."""

    def __init__(self, tape: _Tape, numbers: Numbers) -> None:
        self.tape, self.numbers = tape, numbers

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Wires]:
        return (Wires(self.tape, numbers) for numbers in self.numbers)

    def __getitem__(self, index: int | slice | tuple[int | slice | None, ...]) -> Wires:
        return Wires(self.tape, self.numbers[index])

    def __xor__(self, other: Wires) -> Wires:
        return self._gate("XOR", other)

    def __and__(self, other: Wires) -> Wires:
        return self._gate("AND", other)

    def __invert__(self) -> Wires:
        return Wires(self.tape, self.tape.gate("INV", self.numbers))

    def _gate(self, name: str, other: Wires) -> Wires:
        return Wires(
            self.tape,
            self.tape.gate(name, *np.broadcast_arrays(self.numbers, other.numbers)),
        )


class _WireLanes(Lanes):
    def __init__(self, zero: Wires) -> None:
        self.zero = zero

    def concatenate(self, parts: Sequence[Bits], axis: int = 0) -> Bits:
        return Wires(self.zero.tape, np.concatenate([part.numbers for part in parts], axis))

    def pad(self, x: Bits, before: tuple[int, int], after: tuple[int, int]) -> Bits:
        widths = [(0, 0), *zip(before, after, strict=True), (0, 0)]
        zero = int(self.zero.numbers)
        return Wires(x.tape, np.pad(x.numbers, widths, constant_values=zero))

    def spread(self, taps: Sequence[Bits], channels: int) -> Bits:
        return Wires(taps[0].tape, super().spread([tap.numbers for tap in taps], channels))


def input_bits(secrets: Sequence[Secrets]) -> npt.NDArray[np.bool_]:
    """The server's input, as `write_bristol` numbers it."""
    return np.concatenate([x.reshape(-1) for layer in secrets for x in layer.values()])


def write_bristol(
    model: Architecture | Program, path: str | os.PathLike[str], accumulator: str = "lba"
) -> dict[str, int]:
    """Writes the circuit; it holds no weight, only the architecture.

    Args:
        model: a network.
        path: the file, which is whole or not there.
        accumulator: one of `ACCUMULATORS`.

    Returns:
        How many `gates`, `wires`, `client` and `server` inputs, and `outputs` it has.

    Raises:
        ObliviousError: a network of more than `MAX_ANDS`, or another accumulator.
        OSError: the file cannot be written.
    """
    architecture = model.architecture if isinstance(model, Program) else model
    ands = and_count(architecture, accumulator)
    if ands > MAX_ANDS:
        raise ObliviousError(
            f"Expected a circuit of at most {MAX_ANDS} ANDs, got {ands}. Use fewer channels."
        )
    shape = (*architecture.input[:2], len(architecture.encoding))
    client = int(np.prod(shape))
    inputs, start = [], client
    for layer in architecture.layers:
        given = {}
        for name, size in layer_shapes(layer).items():
            given[name] = np.arange(start, start + size[0] * size[1]).reshape(size)
            start += size[0] * size[1]
        inputs.append(given)
    with (
        replaced(Path(path)) as writing,
        tempfile.TemporaryFile("w+", dir=Path(path).absolute().parent) as gates,
    ):
        tape = _Tape(gates, start)
        image = Wires(tape, np.arange(client).reshape(1, *shape))
        zero = image[0, 0, 0, 0] ^ image[0, 0, 0, 0]
        wires = [{k: Wires(tape, v) for k, v in layer.items()} for layer in inputs]
        words, accumulate = _WireLanes(zero), ACCUMULATORS[accumulator]
        planes = classify(architecture, image, wires, words, accumulate)
        for plane in planes:  # so that these wires are the last
            _ = plane[0, 0] ^ zero
        gates.seek(0)
        with writing.open("w") as file:
            file.write(f"{tape.gates} {tape.wires}\n2 {client} {start - client}\n")
            file.write(f"1 {len(planes)}\n\n")
            while block := gates.read(1 << 20):
                file.write(block)
    return {
        "gates": tape.gates,
        "wires": tape.wires,
        "client": client,
        "server": start - client,
        "outputs": len(planes),
    }
