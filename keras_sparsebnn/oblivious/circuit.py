r"""The network as a Boolean circuit, written once for whatever has AND and XOR.

A bit is 1 where a value is -1, as in LCE. Of a convolution with N taps, weights w and the
thresholds T of its output channels,

    y = [popcount(x ^ w) > T] = carry of (popcount(x ^ w) + K), K = 2^b - 1 - T, 2^b > N

so XOR makes the products, for nothing, and K lies in the adder's columns. A channel whose T is
below 0, always 1, has T = N and its carry inverted by a bit of the server's. A max pool of bits
is their AND. Scores are matches and biases in fixed point,

    S_c = 2^F (N - popcount(x ^ w_c)) + B_c

and a tournament of adjacent classes gives the first class with the highest score: the right one
wins if `S_right + (2^W - 1 - S_left)` has a carry, so never a tie.

Weights, K, B and inversions are inputs, like the image's bits: the circuit depends on the
architecture alone. How bits lie in arrays, `Words` says: NumPy has 64 images in a word, two
processes with SPU 32 output channels, a Bristol file one wire for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from keras_sparsebnn.oblivious.accumulators import Accumulator, Arrays, Bits, carry_of_sum
from keras_sparsebnn.oblivious.architecture import FRACTION_BITS, Architecture, Layer

__all__ = ["LayerInputs", "Words", "classify", "count_bits", "layer_shapes", "score_bits"]

LayerInputs = dict[str, Bits]
"""The server's inputs of one layer, by the names in `layer_shapes`."""


class Words(Arrays, Protocol):
    """How bits lie in arrays `[B, H, W, words of channels]`."""

    def pad(self, x: Bits, before: tuple[int, int], after: tuple[int, int]) -> Bits:
        """Zeros around rows and columns, axes 1 and 2."""

    def window(
        self, x: Bits, start: tuple[int, int], stop: tuple[int, int], step: tuple[int, int]
    ) -> Bits:
        """Some rows and columns, axes 1 and 2."""

    def spread(self, taps: Sequence[Bits], channels: int) -> Bits:
        """Maps `[B, H, W, words]` -> `[taps channels, B, H, W, 1]`: a bit in all of a word."""

    def only(self, x: Bits, channels: int) -> Bits:
        """Zeros where words have more bits than there are channels."""

    def pairs(self, x: Bits, level: int) -> tuple[Bits, Bits, Bits | None]:
        """What meets in a round of the tournament: left, right, and one without a partner."""


def count_bits(taps: int) -> int:
    """b: as many bits as N takes."""
    return taps.bit_length()


def score_bits(taps: int) -> int:
    """W: matches up to N, biases up to N + 1, both times 2^F."""
    return (2 * taps + 1).bit_length() + FRACTION_BITS


def layer_shapes(layer: Layer) -> dict[str, tuple[int, int]]:
    """Name -> (bits, output channels) of each input of a layer that the server owns."""
    channels = layer.output[2]
    if layer.kind == "pool":
        return {}
    if layer.kind == "scores":
        return {"weights": (layer.taps, channels), "biases": (score_bits(layer.taps), channels)}
    return {
        "weights": (layer.taps, channels),
        "addends": (count_bits(layer.taps), channels),
        "inverted": (1, channels),
    }


def classify(
    architecture: Architecture,
    x: Bits,
    inputs: Sequence[LayerInputs],
    words: Words,
    accumulate: Accumulator,
) -> list[Bits]:
    """The class of each image, as bits, lowest first.

    Args:
        architecture: the network.
        x: the client's bits, `[B, H, W, words of channels]`.
        inputs: the server's bits, a mapping a layer; see `layer_shapes`.
        words: how they lie in words.
        accumulate: one of `ACCUMULATORS`.

    Returns:
        `ceil(log2(classes))` arrays `[B, words]`, in whose first lane the class is.
    """
    for layer, given in zip(architecture.layers, inputs, strict=True):
        taps = _windows(layer, x, words)
        if layer.kind == "pool":
            x = _all(taps)
            continue
        spread = words.spread(taps, layer.input[2])
        products = spread ^ given["weights"][:, None, None, None, :]
        if layer.kind == "scores":
            scores = _scores(products, given, words, accumulate)
            classes = architecture.classes
            scores = [words.only(plane, classes) for plane in scores]
            return _first_of_the_highest(scores, classes, words)
        addend = given["addends"][:, None, None, None, :] ^ words.zeros_like(products[:1])
        carry = accumulate(products, addend, words)[-1]
        x = carry ^ given["inverted"][0]
    raise AssertionError("an architecture ends with scores")


def _windows(layer: Layer, x: Bits, words: Words) -> list[Bits]:
    """The map that each tap of the window sees, in the order of the weights' rows."""
    (kh, kw), (sh, sw), (top, left) = layer.kernel, layer.stride, layer.pads
    oh, ow = layer.output[:2]
    bottom = max(0, (oh - 1) * sh + kh - top - layer.input[0])
    right = max(0, (ow - 1) * sw + kw - left - layer.input[1])
    x = words.pad(x, (top, left), (bottom, right)) if top + left + bottom + right else x
    return [
        words.window(x, (i, j), (i + (oh - 1) * sh + 1, j + (ow - 1) * sw + 1), (sh, sw))
        for i in range(kh)
        for j in range(kw)
    ]


def _all(bits: Sequence[Bits]) -> Bits:
    """AND of all: the maximum, where 1 is the lower value."""
    while len(bits) > 1:
        pairs = zip(bits[0::2], bits[1::2], strict=False)
        bits = [a & b for a, b in pairs] + list(bits[len(bits) // 2 * 2 :])
    return bits[0]


def _scores(
    products: Bits, given: LayerInputs, words: Words, accumulate: Accumulator
) -> list[Bits]:
    """The W bits of each class's score, `[B, words]`."""
    biases = given["biases"][:, None, :] ^ words.zeros_like(products[:1, :, 0, 0])
    b = count_bits(len(products))
    low, middle, high = (
        biases[:FRACTION_BITS],
        biases[FRACTION_BITS : FRACTION_BITS + b],
        biases[FRACTION_BITS + b :],
    )
    total = accumulate(~products[:, :, 0, 0], middle, words)
    # What the biases have above the adder's bits is one bit.
    digits = [*total[:b], high[0] ^ total[b]]
    return [*(low[k] for k in range(FRACTION_BITS)), *digits]


def _first_of_the_highest(scores: list[Bits], classes: int, words: Words) -> list[Bits]:
    """The tournament: `np.argmax` over the lanes, its bits lowest first."""
    place: list[Bits] = []
    level = 0
    while classes > 1:
        split = [words.pairs(plane, level) for plane in [*scores, *place]]
        wins = carry_of_sum(
            [right for _, right, _ in split[: len(scores)]],
            [~left for left, _, _ in split[: len(scores)]],
        )
        rest = split[0][2]
        classes, level = -(-classes // 2), level + 1
        if classes == 1:
            scores, split = [], split[len(scores) :]  # nobody asks for the highest score
        lanes = [
            _joined(left ^ (wins & (left ^ right)), over, words) for left, right, over in split
        ]
        lost = None if rest is None else words.zeros_like(rest)
        scores, place = (
            lanes[: len(scores)],
            [*lanes[len(scores) :], _joined(wins, lost, words)],
        )
    return place


def _joined(x: Bits, rest: Bits | None, words: Words) -> Bits:
    return x if rest is None else words.concatenate([x, rest], -1)
