r"""Sparks-wide and Sparks-deep: the saved bits spent on width or on depth.

The budget is 1-bit ReActNet-18's: 10.985 Mbit of binary kernels, and 1.676 GBOPs at 224x224.
At n = 32 a kernel costs 5 bits instead of 9, codebook included as `accounting` counts it.

* Wide: bits grow with the square of the width, so each stage may be sqrt(9 / 5) = 1.34 times
  as wide, rounded to the 32 channels of LCE's words: 96, 160, 352, 672 channels,
  10.75 Mbit, 0.75 GBOPs.
* Deep: of the depths between ResNet-18's and ResNet-34's, the one that leaves the least of
  the budget: 6, 6, 10 and 6 layers, 10.90 Mbit, 0.85 GBOPs. (ResNet-34 itself has
  11.72 Mbit.)

Size binds in both, not operations.

Reference: Wang et al., "Compacting Binary Neural Networks by Sparse Kernel Selection", CVPR
2023, arXiv:2303.14470, which trains networks of these names at 0.56 bit. Deviates: their
layer tables could not be checked; the rules above are ours (the idea is from memory of the
paper).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from keras_sparsebnn._keras import keras
from keras_sparsebnn.analysis.accounting import BinaryConv, Totals, totals
from keras_sparsebnn.models.resnet import residual_network

__all__ = ["DEPTHS", "WIDTHS", "residual_cost", "residual_layers", "sparks_deep", "sparks_wide"]

_RESNET18 = ((64, 128, 256, 512), (4, 4, 4, 4))
_RESNET34_DEPTHS = (6, 8, 12, 6)


def residual_cost(
    widths: Sequence[int], depths: Sequence[int], codewords: int | None, size: int = 56
) -> Totals:
    """What the binary layers of `models.resnet.residual_network` cost, without building it.

    Args:
        widths: channels of each stage.
        depths: binary layers of each stage.
        codewords: n; None for plain 1-bit.
        size: rows and columns of the first stage's maps: 56 for 224x224, 32 for 32x32.

    Example:
        >>> round(residual_cost((64, 128, 256, 512), (4, 4, 4, 4), None).mbit, 3)
        10.985
    """
    return totals(residual_layers(widths, depths, codewords, size))


def residual_layers(
    widths: Sequence[int], depths: Sequence[int], codewords: int | None, size: int = 56
) -> list[BinaryConv]:
    """The binary layers of `residual_cost`."""
    layers, channels = [], widths[0]
    for stage, (filters, depth) in enumerate(zip(widths, depths, strict=True)):
        for _ in range(depth):
            side = size >> stage
            layers.append(BinaryConv(3, channels, filters, side, side, codewords))
            channels = filters
    return layers


def _fits(widths: Sequence[int], depths: Sequence[int]) -> bool:
    budget, cost = residual_cost(*_RESNET18, None), residual_cost(widths, depths, 32)
    return cost.mbit + cost.codebook_mbit <= budget.mbit and cost.gbops <= budget.gbops


def _wide() -> tuple[int, ...]:
    widths, depths = _RESNET18
    wider = tuple(32 * round(width * math.sqrt(9 / 5) / 32) for width in widths)
    assert _fits(wider, depths)
    return wider


def _deep() -> tuple[int, ...]:
    widths, depths = _RESNET18
    # A block of ResNet has two layers.
    ranges = (range(a, b + 1, 2) for a, b in zip(depths, _RESNET34_DEPTHS, strict=True))
    fitting = (deeper for deeper in itertools.product(*ranges) if _fits(widths, deeper))
    return max(fitting, key=lambda deeper: residual_cost(widths, deeper, 32).mbit)


WIDTHS = _wide()
"""Channels of each stage of `sparks_wide`."""

DEPTHS = _deep()
"""Binary layers of each stage of `sparks_deep`."""


def sparks_wide(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    widths: Sequence[int] = WIDTHS,
    depths: Sequence[int] = _RESNET18[1],
    name: str = "sparks_wide",
    **options: Any,
) -> keras.Model:
    """ReActNet-18, 1.34 times as wide: at n = 32 as many bits as 1-bit ReActNet-18.

    Arguments as in `residual_network`; the module says how the widths follow.
    """
    return residual_network(
        input_shape, classes, widths=widths, depths=depths, name=name, **options
    )


def sparks_deep(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    widths: Sequence[int] = _RESNET18[0],
    depths: Sequence[int] = DEPTHS,
    name: str = "sparks_deep",
    **options: Any,
) -> keras.Model:
    """ReActNet with 28 binary layers: at n = 32 as many bits as 1-bit ReActNet-18.

    Arguments as in `residual_network`; the module says how the depths follow.
    """
    return residual_network(
        input_shape, classes, widths=widths, depths=depths, name=name, **options
    )
