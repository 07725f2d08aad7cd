"""What a model's binary layers cost and use."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_sparsebnn._text_table import aligned
from keras_sparsebnn.analysis import accounting
from keras_sparsebnn.analysis.accounting import BinaryConv, Totals
from keras_sparsebnn.analysis.usage import binary_layers, codeword_counts, usage_entropy
from keras_sparsebnn.layers import sparse_quantizer

__all__ = ["LayerSummary", "Summary", "summary"]


@dataclass(frozen=True)
class LayerSummary:
    """One binary convolution.

    Attributes:
        name: the layer's.
        kernel_shape: `[k, k, Cin / groups, Cout]`.
        codewords: n that it may use; None if it may use all (plain 1-bit).
        distinct: codewords that its kernels do use.
        bits_per_weight: `log2(n) / k^2`.
        mbit: megabits of weights.
        codebook_bits: bits of the codebook, counted apart.
        bops: binary operations a picture; None if the map's size is unknown.
        usage_entropy: bits per kernel an ideal entropy coder would pay, at most `log2(n)`.
    """

    name: str
    kernel_shape: tuple[int, ...]
    codewords: int | None
    distinct: int
    bits_per_weight: float
    mbit: float
    codebook_bits: int
    bops: float | None
    usage_entropy: float


@dataclass(frozen=True)
class Summary:
    """All binary layers of a model, and their totals; `print` shows a table.

    Attributes:
        model: the model's name.
        layers: one entry a binary layer, in order.
        totals: sums; `gbops` leaves out layers of unknown map size.
        other_parameters: weights outside the binary kernels that are deployed too (stem,
            shortcuts, classifier, batch norm): 32 bits each unless quantised.
    """

    model: str
    layers: list[LayerSummary]
    totals: Totals
    other_parameters: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        rows = [
            ("layer", "kernel", "n", "used", "bits/weight", "kbit", "MBOPs", "entropy [bit]")
        ]
        for layer in self.layers:
            rows.append(
                (
                    layer.name,
                    "x".join(map(str, layer.kernel_shape)),
                    "all" if layer.codewords is None else str(layer.codewords),
                    str(layer.distinct),
                    f"{layer.bits_per_weight:.3f}",
                    f"{layer.mbit * 1e3:.1f}",
                    "-" if layer.bops is None else f"{layer.bops / 1e6:.2f}",
                    f"{layer.usage_entropy:.2f}",
                )
            )
        totals = self.totals
        rows.append(
            (
                "total",
                "",
                "",
                "",
                f"{totals.bits_per_weight:.3f}",
                f"{totals.mbit * 1e3:.1f}",
                f"{totals.gbops * 1e3:.2f}",
                "",
            )
        )
        lines = aligned(rows)
        rule = "-" * max(map(len, lines))
        lines.insert(1, rule)
        lines.insert(len(lines) - 1, rule)
        lines.append(
            f"{totals.weights:,} binary weights; "
            f"codebooks {totals.codebook_mbit * 1e3:.1f} kbit; "
            f"{self.other_parameters:,} other parameters"
        )
        return "\n".join(lines)

    __repr__ = __str__


def _summarise(layer: Any) -> tuple[LayerSummary, BinaryConv]:
    counts = codeword_counts(layer)
    quantizer = sparse_quantizer(layer)
    shape = tuple(layer.kernel.shape)
    channels = layer.data_format == "channels_last"
    output_shape = layer.get_output_shape_at(0)
    height, width = output_shape[1:3] if channels else output_shape[2:4]
    geometry = BinaryConv(
        kernel_size=shape[0],
        channels_in=shape[2],
        channels_out=shape[3],
        height=height or 0,
        width=width or 0,
        codewords=None if quantizer is None else quantizer.codewords,
        groups=layer.groups,
    )
    return (
        LayerSummary(
            name=layer.name,
            kernel_shape=shape,
            codewords=geometry.codewords,
            distinct=int(np.count_nonzero(counts)),
            bits_per_weight=geometry.bits_per_weight,
            mbit=geometry.weight_bits / 1e6,
            codebook_bits=geometry.codebook_bits,
            bops=geometry.bops if height and width else None,
            usage_entropy=usage_entropy(counts),
        ),
        geometry,
    )


def summary(model: Any) -> Summary:
    """Per binary layer: n, codewords used, bits/weight, Mbit, BOPs, entropy; and totals.

    Works on any Keras model with larq layers, trained here or not, frozen or not. A layer that
    is called twice counts once.

    Args:
        model: a built model.

    Raises:
        SparseBNNError: a binary layer has no weights yet.
    """
    parts = [_summarise(layer) for layer in binary_layers(model)]
    binary = sum(geometry.weights for _, geometry in parts)
    state = sum(
        int(np.prod(weight.shape))
        for layer in binary_layers(model)
        if (quantizer := sparse_quantizer(layer)) is not None
        for weight in quantizer.weights
    )
    return Summary(
        model=model.name,
        layers=[layer for layer, _ in parts],
        totals=accounting.totals(geometry for _, geometry in parts),
        other_parameters=model.count_params() - state - binary,
    )
