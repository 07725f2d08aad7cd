"""What a model's binary layers cost and use."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from keras_sparsebnn._keras import keras
from keras_sparsebnn._text_table import aligned
from keras_sparsebnn.analysis import accounting
from keras_sparsebnn.analysis.accounting import BinaryConv, Totals
from keras_sparsebnn.analysis.usage import binary_layers, codeword_counts, usage_entropy
from keras_sparsebnn.layers import (
    AdaBinConv2D,
    FoldedConv2D,
    MultiBitConv2D,
    SearchableGroupsConv2D,
)
from keras_sparsebnn.quantizers import SubsetKernel, sparse_quantizer
from keras_sparsebnn.transforms.binarity import stays_float
from keras_sparsebnn.transforms.walk import all_layers

__all__ = ["LayerSummary", "Summary", "geometries", "summary"]


@dataclass(frozen=True)
class LayerSummary:
    """One binary convolution.

    Attributes:
        name: the layer's.
        kernel_shape: `[k, k, Cin / groups, Cout]`.
        codewords: n that it may use; None if it may use all (plain 1-bit).
        distinct: codewords that its kernels do use.
        bits_per_weight: `log2(n) / k^2`, times the weight bits of a `MultiBitConv2D`.
        mbit: megabits of weights.
        codebook_bits: bits of the codebook, counted apart.
        bops: binary operations per image, of all calls; None if the map's size is unknown.
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
        layers: one entry per binary layer, in order.
        totals: sums; `gbops` excludes layers of unknown map size.
        other_parameters: weights outside the binary kernels that are deployed too (stem,
            shortcuts, classifier, batch norm): 32 bits each unless quantised.
        stay_float: layers with binary kernels that a converted file runs in float, so that
            their weights count as other parameters; each with its reason.
    """

    model: str
    layers: list[LayerSummary]
    totals: Totals
    other_parameters: int
    stay_float: dict[str, str] = field(default_factory=dict)

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
        lines += [f"float in a file: {name}: {why}" for name, why in self.stay_float.items()]
        return "\n".join(lines)

    __repr__ = __str__


def _map_size(layer: keras.layers.Layer) -> tuple[int | None, int | None]:
    """Height and width of the output; None where they are open, as inside custom layers."""
    try:
        shape = layer.get_output_shape_at(0)
    except (AttributeError, RuntimeError):
        return None, None
    height, width = shape[1:3] if layer.data_format == "channels_last" else shape[2:4]
    return height, width


def _calls(model: keras.Model) -> dict[int, int]:
    """How often a model calls each of its layers, by the layer's id."""
    found: dict[int, int] = {}
    nodes = [node for depth in getattr(model, "_nodes_by_depth", {}).values() for node in depth]
    for node in nodes:
        inner = _calls(node.layer) if isinstance(node.layer, keras.Model) else {}
        for layer, count in {**inner, id(node.layer): 1}.items():
            found[layer] = found.get(layer, 0) + count
    return found


def geometries(
    model: keras.Model,
) -> list[tuple[keras.layers.Layer, BinaryConv, bool]]:
    """The binary convolutions that a file of the model has.

    Returns:
        Of each the layer, its geometry, and whether it is the convolution by ones that AdaBin's
        centre takes, which comes after the layer's own.
    """
    calls = _calls(model)
    return [
        (x, _geometry(x, calls.get(id(x), 1), is_sum), is_sum)
        for x in binary_layers(model)
        if stays_float(x) is None
        for is_sum in ((False, True) if isinstance(x, AdaBinConv2D) and x.center else (False,))
    ]


def _geometry(layer: keras.layers.Layer, calls: int, is_sum: bool) -> BinaryConv:
    bits = (1, 1)
    if isinstance(layer, MultiBitConv2D):
        bits = layer.activation_bits, layer.weight_bits
    quantizer = None if is_sum else sparse_quantizer(layer)
    groups = layer.chosen if isinstance(layer, SearchableGroupsConv2D) else layer.groups
    height, width = _map_size(layer)
    k, _, channels_in, channels_out = layer.kernel.shape
    return BinaryConv(
        kernel_size=k,
        channels_in=channels_in * layer.groups // groups,
        channels_out=1 if is_sum else channels_out,
        height=height or 0,
        width=width or 0,
        codewords=None if quantizer is None else quantizer.codewords,
        groups=groups,
        planes=bits[1],
        calls=calls * bits[0],
    )


def _summarise(layer: keras.layers.Layer, conv: BinaryConv, is_sum: bool) -> LayerSummary:
    counts = np.array([conv.channels_in]) if is_sum else codeword_counts(layer)
    return LayerSummary(
        name=f"{layer.name}_sum" if is_sum else layer.name,
        kernel_shape=(*[conv.kernel_size] * 2, conv.channels_in, conv.channels_out),
        codewords=conv.codewords,
        distinct=int(np.count_nonzero(counts)),
        bits_per_weight=conv.bits_per_weight,
        mbit=conv.weight_bits / 1e6,
        codebook_bits=conv.codebook_bits,
        bops=conv.bops if conv.height and conv.width else None,
        usage_entropy=usage_entropy(counts),
    )


def summary(model: keras.Model) -> Summary:
    """Per binary layer: n, codewords used, bits/weight, Mbit, BOPs, entropy; and totals.

    Works on any Keras model with larq layers, trained here or not, frozen or not; layers
    inside custom layers and wrappers count, too. Of a layer that is called twice, the weights
    count once and the operations twice.

    Args:
        model: a built model.

    Raises:
        SparseBNNError: a binary layer has no weights yet.
    """
    in_float = {
        path: reason
        for path, layer in all_layers(model)
        if (reason := stays_float(layer)) is not None
    }
    found = geometries(model)
    parts = [(_summarise(x, conv, is_sum), conv) for x, conv, is_sum in found]
    binary = sum(conv.weights for _, conv in parts)
    state = sum(
        int(np.prod(weight.shape))
        for _, layer in all_layers(model)
        if isinstance(layer, SubsetKernel)
        for weight in layer.weights
    )
    return Summary(
        model=model.name,
        layers=[layer for layer, _ in parts],
        totals=accounting.totals(conv for _, conv in parts),
        other_parameters=model.count_params()
        - state
        - binary
        + sum(
            x.extra_parameters
            for x, _, is_sum in found
            if isinstance(x, FoldedConv2D) and not is_sum
        ),
        stay_float=in_float,
    )
