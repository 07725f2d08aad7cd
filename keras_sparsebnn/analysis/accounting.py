r"""What a binary layer costs: bits, codebook, operations. Formulas only, NumPy-free.

For a `k x k` layer with n codewords, `Cin` inputs (of a group), `Cout` outputs and an
`H x W` output map:

* bits per weight: `log2(n) / k^2`; storage `Cin Cout log2(n)` bits, plus `n k^2` bits of
  codebook, which published tables omit and ours prints;
* binary operations (BOPs): `Cin Cout k^2 H W` for plain binary kernels. With n < Cout
  codewords, each input channel is convolved with the n codewords once and the results are
  looked up and added: `H W Cin (k^2 n + Cout / 2)`. The whole codebook is plain kernels.

A layer with G groups is G such layers of `Cin` and `Cout / G` channels. One of K bits a weight
and M bits an input has K planes of each kernel, which are convolved M times.

Reference: Wang et al., "Sub-bit Neural Networks", ICCV 2021, arXiv:2110.09195, whose published
1.677 / 0.883 / 0.501 / 0.297 GBOPs for ResNet-18 these reproduce.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["BinaryConv", "Totals", "totals"]


@dataclass(frozen=True)
class BinaryConv:
    """The geometry of one binary convolution.

    Attributes:
        kernel_size: k.
        channels_in: input channels that each kernel column sees (Cin / groups).
        channels_out: Cout.
        height: output rows H.
        width: output columns W.
        codewords: n; None for plain 1-bit kernels.
        groups: G.
        planes: K, binary kernels for each one of the layer.
        calls: how often each of them is convolved: M, or once for every call of the layer.
    """

    kernel_size: int
    channels_in: int
    channels_out: int
    height: int
    width: int
    codewords: int | None = None
    groups: int = 1
    planes: int = 1
    calls: int = 1

    @property
    def taps(self) -> int:
        """`k^2`, weights a kernel."""
        return self.kernel_size**2

    @property
    def weights(self) -> int:
        """Weights of the layer."""
        return self.taps * self.channels_in * self.channels_out

    @property
    def bits_per_weight(self) -> float:
        """`K log2(n) / k^2`; K for plain binary kernels.

        Example:
            >>> round(BinaryConv(3, 64, 64, 8, 8, codewords=32).bits_per_weight, 3)
            0.556
        """
        bits = 1.0 if self.codewords is None else math.log2(self.codewords) / self.taps
        return self.planes * bits

    @property
    def weight_bits(self) -> float:
        """Bits of all weights, without the codebook."""
        return self.weights * self.bits_per_weight

    @property
    def codebook_bits(self) -> int:
        """`K n k^2` bits that codebooks take; 0 where kernels are stored plainly."""
        if self.codewords is None or self.codewords == 2**self.taps:
            return 0
        return self.planes * self.codewords * self.taps

    @property
    def bops(self) -> float:
        """Binary operations of one image."""
        pixels = self.height * self.width * self.planes * self.calls
        of_a_group = self.channels_out // self.groups
        if self.codewords in (None, 2**self.taps) or of_a_group <= self.codewords:
            return float(pixels * self.channels_in * self.channels_out * self.taps)
        lookups = of_a_group / 2
        convolutions = self.taps * self.codewords
        return pixels * self.groups * self.channels_in * (convolutions + lookups)


@dataclass(frozen=True)
class Totals:
    """Sums over layers, in the units of the published tables.

    Attributes:
        weights: binary weights.
        mbit: megabits (1e6) of weights, without codebooks.
        codebook_mbit: megabits of codebooks.
        gbops: 1e9 binary operations an image.
        bits_per_weight: mean over weights, without codebooks.
    """

    weights: int
    mbit: float
    codebook_mbit: float
    gbops: float
    bits_per_weight: float


def totals(layers: Iterable[BinaryConv]) -> Totals:
    """Sums `layers`.

    Example:
        >>> totals([BinaryConv(3, 64, 64, 56, 56)]).gbops
        0.115605504
    """
    layers = list(layers)
    weights = sum(layer.weights for layer in layers)
    bits = sum(layer.weight_bits for layer in layers)
    return Totals(
        weights=weights,
        mbit=bits / 1e6,
        codebook_mbit=sum(layer.codebook_bits for layer in layers) / 1e6,
        gbops=sum(layer.bops for layer in layers) / 1e9,
        bits_per_weight=bits / weights if weights else 0.0,
    )
