"""The cost of the inner block of Larq Compute Engine's fastest AArch64 kernel, modelled.

Written from the algorithm, not from LCE's source. A tile of 8 output channels by 4 pixels
advances by 128 input channels of one filter tap. Every pair of output channel and pixel needs a
128-bit XOR and a population count per byte; the 32 vectors of byte counts of a tile are added
pairwise (ADDP) until 4 vectors are left whose lanes are the 8 output channels, and those are
accumulated in 16 bits (UADALP): 32 EOR + 32 CNT + 28 ADDP + 4 UADALP, beside 12 loads of
128 bits. All 32 registers are in use: 16 counts and partial sums, 8 + 4 operands, 4
accumulators. An operand of the next turn is loaded after the last use of this turn's.
"""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest

OUTPUTS, PIXELS, CHANNELS = 8, 4, 128
MIX = {"eor": 32, "cnt": 32, "addp": 28, "uadalp": 4, "ldr": 8, "ld1": 4}

_ACCUMULATORS, _WEIGHTS, _INPUTS = range(28, 32), range(20, 28), range(16, 20)


def _addp(into: list[int], other: list[int]) -> list[str]:
    pairs = zip(into, other, strict=True)
    return [f"addp v{a}.16b, v{a}.16b, v{b}.16b" for a, b in pairs]


def inner_loop() -> str:
    """Assembly of one turn: 128 input channels of one tap for 8 outputs and 4 pixels.

    Two output channels at a time, and the sums of the two before while their XORs are under
    way: in-order cores wait for nothing. `x1` walks over the weights, `x2` to `x5` over pixels.
    """
    free = list(range(16))
    lines = ["subs w9, w9, #1"]
    waiting: list[str] = []
    loads: list[str] = []
    sums: list[tuple[int, list[int]]] = []  # (how many output channels, a register per pixel)
    for first in range(0, OUTPUTS, 2):
        pair = []
        for output in (first, first + 1):
            counts = [free.pop(0) for _ in range(PIXELS)]
            weight = _WEIGHTS[output]
            operands = zip(counts, _INPUTS, strict=True)
            lines += [f"eor v{t}.16b, v{weight}.16b, v{x}.16b" for t, x in operands]
            loads.append(f"ldr q{weight}, [x1, #{16 * output}]")
            pair.append(counts)
            lines += waiting[:PIXELS]
            waiting = waiting[PIXELS:]
        lines += [f"cnt v{t}.16b, v{t}.16b" for both in zip(*pair, strict=True) for t in both]
        lines += _addp(pair[0], pair[1])
        free += pair[1]
        sums.append((2, pair[0]))
        waiting = []
        while len(sums) > 1 and sums[-1][0] == sums[-2][0]:
            size, later = sums.pop()
            waiting += _addp(sums[-1][1], later)
            free += later
            sums[-1] = (2 * size, sums[-1][1])
    # Loads fill the gaps of the last sums, of which only four at a time are independent.
    totals = zip(_ACCUMULATORS, sums[0][1], strict=True)
    last = [*waiting, *(f"uadalp v{a}.8h, v{t}.16b" for a, t in totals)]
    loads += [f"ld1 {{v{x}.4s}}, [x{2 + p}], #16" for p, x in enumerate(_INPUTS)]
    lines += [line for pair in zip_longest(last, loads) for line in pair if line]
    mix = Counter(line.split()[0] for line in lines)
    assert {name: mix[name] for name in MIX} == MIX
    return "\n".join([*lines, "add x1, x1, #128", "b.gt #-448"])
