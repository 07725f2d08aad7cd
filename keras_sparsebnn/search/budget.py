"""What a search may spend, and what a candidate costs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from keras_sparsebnn.analysis.accounting import BinaryConv
from keras_sparsebnn.errors import SparseBNNError

if TYPE_CHECKING:
    from keras_sparsebnn.search.evolution import Genes

__all__ = ["KINDS", "Budget", "Costs"]

KINDS = ("bops", "bytes", "latency_ms")
"""Binary operations of an image, bytes of a file, milliseconds of an inference."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """The most that a candidate may cost.

    Args:
        kind: one of `KINDS`. "bops" and "bytes" are counted, see `Costs`; "latency_ms" is
            measured: the median of one thread in the delegate.
        limit: above 0.

    Raises:
        SparseBNNError: another kind or limit.

    Example:
        >>> Budget.parse("bops=2.5e6")
        Budget(kind='bops', limit=2500000.0)
    """

    kind: str
    limit: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not 0 < self.limit < math.inf:
            raise SparseBNNError(
                f"Expected a budget like bops=2e6, of {', '.join(KINDS)} and above 0, got "
                f"{self.kind}={self.limit:g}."
            )

    def check(self, least: float) -> None:
        """Refuses to search where the cheapest candidate costs more.

        Raises:
            SparseBNNError: it does.
        """
        if least > self.limit:
            raise SparseBNNError(
                f"Expected a budget of at least {self.kind}={math.ceil(least)}, what the "
                f"cheapest candidate costs, got {self}."
            )

    @classmethod
    def parse(cls, text: str) -> Budget:
        """From `KIND=LIMIT`."""
        kind, _, limit = text.partition("=")
        try:
            return cls(kind, float(limit))
        except ValueError:
            raise SparseBNNError(
                f"Expected a budget like bops=2e6, of {', '.join(KINDS)}, got {text!r:.60}."
            ) from None

    def __str__(self) -> str:
        # All digits: it is parsed again.
        return f"{self.kind}={self.limit!r}".removesuffix(".0")


@dataclasses.dataclass(frozen=True)
class Costs:
    """What candidates cost, from the layers' geometry alone; see `accounting`.

    Attributes:
        layers: of each gene, in order: from its choices to the layer's geometry.
        fixed: binary layers that have no gene.
        other_parameters: float ones, of 4 bytes each.
    """

    layers: Sequence[Mapping[int, BinaryConv]]
    fixed: Sequence[BinaryConv]
    other_parameters: int

    def __call__(self, genes: Genes, kind: str) -> float:
        """Binary operations, or the bytes of all numbers of a file in the sub-bit format.

        A 1-bit layer takes a bit a weight in either format; names, shapes and operators of a
        file, some kilobytes, do not count.
        """
        chosen = [choices[g] for choices, g in zip(self.layers, genes, strict=True)]
        convs = [*chosen, *self.fixed]
        if kind == "bops":
            return sum(conv.bops for conv in convs)
        bits = sum(conv.weight_bits + conv.codebook_bits for conv in convs)
        return math.ceil(bits / 8) + 4.0 * self.other_parameters
