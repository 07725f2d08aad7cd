"""The cost of the inner block of Larq Compute Engine's fastest AArch64 kernel, modelled.

Written from the algorithm, not from LCE's source. A tile of 8 output channels by 4 pixels
advances by 128 input channels of one filter tap. Every pair of output channel and pixel needs a
128-bit XOR and a population count per byte; the 32 vectors of byte counts of a tile are added
pairwise (ADDP) until 4 vectors are left whose lanes are the 8 output channels, and those are
accumulated in 16 bits (UADALP): 32 EOR + 32 CNT + 28 ADDP + 4 UADALP, beside 12 loads of
128 bits. All 32 registers are in use: 16 counts and partial sums, 8 + 4 operands, 4
accumulators. An operand of the next turn is loaded after the last use of this turn's.

LCE reads its input through a table of pointers that is made once for a shape, so there is no
im2col to count. What surrounds the block, `tile_overhead`, is an estimate: LCE's code was not
run.
"""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest

OUTPUTS, PIXELS, CHANNELS = 8, 4, 128
MIX = {"eor": 32, "cnt": 32, "addp": 28, "uadalp": 4, "ldr": 8, "ld1": 4}

# llvm-mca 19 on LCE's own order of these instructions. The in-order cores like it better than
# the order below; for the others both are the same.
OWN_ORDER = {"cortex-a53": 131.0, "cortex-a55": 117.0}

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


def tile_overhead(output: str) -> str:
    """Assembly of what a tile needs once: 16-bit counts of 8 outputs and 4 pixels to `output`.

    Args:
        output: float32: doubled and widened, clamped, converted, scaled, biased, stored.
            bitpacked: compared with thresholds, weighted, added across, a byte a pixel stored.
    """
    if output == "bitpacked":
        lines = ["ldp q0, q1, [x0], #32", "uzp1 v0.8h, v0.8h, v1.8h"]
        for pixel, accumulator in enumerate(_ACCUMULATORS):
            lines += [
                f"cmhi v{pixel + 2}.8h, v{accumulator}.8h, v0.8h",
                f"and v{pixel + 2}.16b, v{pixel + 2}.16b, v15.16b",
                f"addv h{pixel + 2}, v{pixel + 2}.8h",
                f"st1 {{v{pixel + 2}.b}}[0], [x{2 + pixel}], #1",
                f"movi v{accumulator}.8h, #0",
            ]
        return "\n".join(lines)
    lines = ["ldp q16, q17, [x0], #32", "ldp q18, q19, [x1], #32"]
    half = [(p, h) for p in range(PIXELS) for h in range(2)]
    for pixel, high in half:
        lines.append(
            f"ushll{2 * high or ''} v{2 * pixel + high}.4s, "
            f"v{_ACCUMULATORS[pixel]}.{'8h' if high else '4h'}, #1"
        )
    for template in (
        "smax v{0}.4s, v{0}.4s, v20.4s",
        "smin v{0}.4s, v{0}.4s, v21.4s",
        "scvtf v{0}.4s, v{0}.4s",
        "fmul v{0}.4s, v{0}.4s, v{1}.4s",
        "fadd v{0}.4s, v{0}.4s, v{2}.4s",
    ):
        lines += [template.format(2 * p + h, 16 + h, 18 + h) for p, h in half]
    lines += [f"stp q{2 * p}, q{2 * p + 1}, [x{2 + p}], #32" for p in range(PIXELS)]
    lines += [f"movi v{accumulator}.8h, #0" for accumulator in _ACCUMULATORS]
    return "\n".join(lines)


def tap_overhead() -> str:
    """Assembly of what each of the 9 taps of a tile needs: the pointers of its four pixels."""
    return "\n".join(
        ["ldp x2, x3, [x6]", "ldp x4, x5, [x6, #16]", "add x6, x6, #32", "subs w10, w10, #1"]
    )
