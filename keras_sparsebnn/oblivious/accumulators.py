r"""Counting bits with AND and XOR, of which only AND costs: four ways.

All take N bits, the products of one output, as one array `[N, ...]` and an integer K as bits
`[b, ...]` with `2^b > N`, and give the `b + 1` bits of `sum(bits) + K`, lowest first. What is
behind the first axis is computed at once: outputs, or words of them.

    lba      by digit position: full adders take three bits of a column to one of it and one of
             the next, in all columns at once, until each has one. K lies in the columns.
    tree     ripple adders in a tree; then one more adds K
    bounded  a counter, as wide as what it has counted so far; then a ripple adder
    fixed    a counter of b bits, of which every carry is computed; then a ripple adder

A full adder has one AND: with t = a + c and u = b + c (mod 2), its sum is t + b and its carry
t u + c. So, where only the carry out of the top is used:

    tree     sum over levels l of l floor(n_l / 2), and b; n_1 = N, n_(l+1) = ceil(n_l / 2)
    bounded  sum over i = 2 ... N of (bits that i takes) - 1, and b
    fixed    b N - b (b - 1) / 2

and lba about N + 2: every full adder takes one bit out of the N + b that there are.

Reference: Chen et al., "FOBNN: Fast Oblivious Binarized Neural Network Inference",
arXiv:2405.03136, whose BLB, which bounds bit lengths, and LBA, by digit position, `bounded` and
`lba` are named after. Only its abstract could be read: the circuits are ours, and its link
optimisation is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

__all__ = [
    "ACCUMULATORS",
    "Accumulator",
    "Arrays",
    "Bits",
    "carry_of_sum",
    "full_adder",
    "ripple",
]

Bits = Any
"""An array of NumPy, JAX or `bristol.Wires`: it has `^`, `&`, `~`, and slices."""


class Arrays(Protocol):
    """What is done with arrays beside `^`, `&`, `~` and slices."""

    def concatenate(self, parts: Sequence[Bits], axis: int = 0) -> Bits:
        """Joins arrays."""

    def zeros_like(self, x: Bits) -> Bits:
        """Zeros that are as secret as `x`."""


Accumulator = Callable[[Bits, Bits, Arrays], list[Bits]]


def full_adder(a: Bits, b: Bits, c: Bits) -> tuple[Bits, Bits]:
    """`(sum, carry)` of three bits; one AND."""
    t = a ^ c
    return t ^ b, (t & (b ^ c)) ^ c


def ripple(a: Sequence[Bits], b: Sequence[Bits]) -> list[Bits]:
    """`a + b` of two numbers of w bits: w + 1 bits, w ANDs."""
    total, carry = [a[0] ^ b[0]], a[0] & b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        digit, carry = full_adder(x, y, carry)
        total.append(digit)
    return [*total, carry]


def carry_of_sum(a: Sequence[Bits], b: Sequence[Bits]) -> Bits:
    """The last bit of `ripple(a, b)`: whether `a + b >= 2^w`."""
    return ripple(a, b)[-1]


def lba(bits: Bits, addend: Bits, arrays: Arrays) -> list[Bits]:
    """See the module."""
    width = len(addend)
    columns: list[list[Bits]] = [[addend[k : k + 1]] for k in range(width)]
    columns[0] = [bits, *columns[0]]
    carries: list[Bits] = []
    while True:
        column = [arrays.concatenate(c) if len(c) > 1 else c[0] for c in columns]
        triples = {k: len(c) // 3 for k, c in enumerate(column) if len(c) >= 3}
        if triples:
            total, carry = full_adder(
                *(
                    arrays.concatenate(
                        [column[k][i * n : (i + 1) * n] for k, n in triples.items()]
                    )
                    for i in range(3)
                )
            )
        else:
            k = next((k for k, c in enumerate(column) if len(c) == 2), -1)
            if k < 0:
                return [*(c[0] for c in column), carries[0][0]]
            triples = {k: 1}
            a, b = column[k][:1], column[k][1:]
            total, carry = a ^ b, a & b
        columns, start = [[] for _ in range(width)], 0
        for k, c in enumerate(column):
            n = triples.get(k, 0)
            if n:
                columns[k].append(total[start : start + n])
                (columns[k + 1] if k + 1 < width else carries).append(carry[start : start + n])
                start += n
            rest = c[min(3 * n, len(c)) :]
            if len(rest):
                columns[k].append(rest)


def tree(bits: Bits, addend: Bits, arrays: Arrays) -> list[Bits]:
    """See the module."""
    width = len(addend)
    planes = [bits]
    while (count := len(planes[0])) > 1:
        half, even = count // 2, count // 2 * 2
        total = ripple([p[:half] for p in planes], [p[half:even] for p in planes])
        if count % 2:
            # The number without a partner has no carry.
            rest = [p[even:] for p in planes]
            rest.append(arrays.zeros_like(rest[0]))
            total = [arrays.concatenate([p, r]) for p, r in zip(total, rest, strict=True)]
        planes = total
    return ripple(_extended([p[0] for p in planes], width, arrays), list(addend))


def bounded(bits: Bits, addend: Bits, arrays: Arrays) -> list[Bits]:
    """See the module."""
    counter = [bits[0]]
    for count in range(1, len(bits)):
        carry, width = bits[count], (count + 1).bit_length()
        digits = []
        for k, digit in enumerate(counter):
            digits.append(digit ^ carry)
            if k + 1 < width:
                carry = digit & carry
        counter = digits + [carry] * (width - len(counter))
    return ripple(_extended(counter, len(addend), arrays), list(addend))


def fixed(bits: Bits, addend: Bits, arrays: Arrays) -> list[Bits]:
    """See the module."""
    counter = [bits[0]]
    for count in range(1, len(bits)):
        carry = bits[count]
        digits = []
        for digit in counter:
            digits.append(digit ^ carry)
            carry = digit & carry
        counter = [*digits, carry][: len(addend)]
    return ripple(_extended(counter, len(addend), arrays), list(addend))


def _extended(number: Sequence[Bits], width: int, arrays: Arrays) -> list[Bits]:
    """Cut to `width` bits, which hold it, or with zeros up to them."""
    zeros = [arrays.zeros_like(number[0]) for _ in range(width - len(number))]
    return [*number[:width], *zeros]


ACCUMULATORS: dict[str, Accumulator] = {
    "lba": lba,
    "tree": tree,
    "bounded": bounded,
    "fixed": fixed,
}
"""Accumulators by name."""
