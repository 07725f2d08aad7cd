"""The table of docs/networks.md: each network, built, and what its binary layers cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from docs.generate.pages import Tables
from keras_sparsebnn.analysis.accounting import BinaryConv, totals

# Network, side of the images, their channels, classes, options.
NETWORKS: list[tuple[str, int, int, int, dict[str, Any]]] = [
    ("vgg_small", 32, 3, 10, {}),
    ("resnet20", 32, 3, 10, {}),
    ("resnet18", 32, 3, 10, {}),
    ("resnet18", 224, 3, 1000, {}),
    ("resnet34", 224, 3, 1000, {}),
    ("sparks_wide", 224, 3, 1000, {}),
    ("sparks_deep", 224, 3, 1000, {}),
    ("quicknet", 224, 3, 1000, {}),
    ("adabin20", 32, 3, 10, {}),
    ("adabin18", 224, 3, 1000, {}),
    ("bcdnet_a", 224, 3, 1000, {}),
    ("bcdnet_b", 224, 3, 1000, {}),
    ("bcd_resnet18", 224, 3, 1000, {}),
    ("ftbnn18", 224, 3, 1000, {}),
    ("ftbnn18_grouped", 224, 3, 1000, {}),
    ("mobile_grouped", 32, 3, 10, {}),
    ("mobile_grouped", 224, 3, 1000, {}),
    ("small", 28, 1, 10, {}),
    ("small_vgg", 28, 1, 10, {}),
    ("oblivious", 28, 1, 10, {}),
]


def geometry(model: Any) -> list[BinaryConv]:
    """The binary layers of a model as plain 1-bit ones."""
    from keras_sparsebnn.analysis.usage import binary_layers

    return [
        BinaryConv(
            kernel_size=layer.kernel_size[0],
            channels_in=layer.kernel.shape[2],
            channels_out=channels,
            height=layer.output_shape[1],
            width=layer.output_shape[2],
            groups=layer.groups,
        )
        for layer in binary_layers(model)
        # AdaBin's centre takes one more convolution, by ones.
        for channels in ([layer.filters, 1] if _centred(layer) else [layer.filters])
    ]


def _centred(layer: Any) -> bool:
    from keras_sparsebnn.layers import AdaBinConv2D

    return isinstance(layer, AdaBinConv2D) and layer.center


def parameters(model: Any) -> int:
    """How many a model has, the state of its quantizers aside."""
    from keras_sparsebnn.analysis.usage import binary_layers
    from keras_sparsebnn.layers import sparse_quantizer

    found = (sparse_quantizer(layer) for layer in binary_layers(model))
    state = (weight for quantizer in found if quantizer for weight in quantizer.weights)
    return int(model.count_params() - sum(x.shape.num_elements() for x in state))


def with_codewords(layers: list[BinaryConv], codewords: int) -> list[BinaryConv]:
    """The same layers with n codewords, 1x1 kernels and sums of windows left at 1 bit."""
    return [
        BinaryConv(
            **{
                **vars(x),
                "codewords": codewords if x.kernel_size == 3 and x.channels_out > 1 else None,
            }
        )
        for x in layers
    ]


def multi_bit_table() -> str:
    """ResNet-18 at 224x224 with more bits, as `summary` counts it."""
    from keras_sparsebnn.models.sparks import residual_layers

    lines = [
        "| bits: activations x weights | Mbit | Mbit, n = 32 | GBOPs | GBOPs, n = 32 |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    plain = residual_layers((64, 128, 256, 512), (4, 4, 4, 4), None)
    for m, k in ((1, 1), (1, 2), (2, 1), (2, 2)):
        layers = [dataclasses.replace(x, planes=k, calls=m) for x in plain]
        one, sparse = totals(layers), totals(with_codewords(layers, 32))
        lines.append(
            f"| {m} x {k} | {one.mbit:.3f} | {sparse.mbit:.3f} "
            f"| {one.gbops:.4f} | {sparse.gbops:.4f} |"
        )
    return "\n".join(lines)


def row(name: str, layers: list[BinaryConv], parameters: int, image: str) -> str:
    plain, sparse = totals(layers), totals(with_codewords(layers, 32))
    other = parameters - sum(x.weights for x in layers if x.channels_out > 1)
    return (
        f"| `{name}` | {image} | {len(layers)} | {plain.mbit:.3f} | {sparse.mbit:.3f} "
        f"| {plain.gbops:.4f} | {sparse.gbops:.4f} | {other / 1e6:.2f} M |"
    )


def table(build: Callable[..., Any]) -> str:
    """The table, of models that `build(name, shape, classes, options)` makes."""
    lines = [
        "| network | image | binary layers | Mbit, 1 bit | Mbit, n = 32 | GBOPs, 1 bit "
        "| GBOPs, n = 32 | other parameters |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, side, channels, classes, options in NETWORKS:
        model = build(name, (side, side, channels), classes, options)
        image = f"{side}x{side}x{channels}"
        lines.append(row(name, geometry(model), parameters(model), image))
    return "\n".join(lines)


def build(name: str, shape: tuple[int, int, int], classes: int, options: Any) -> Any:
    """A network with plain 1-bit kernels."""
    from keras_sparsebnn import models

    return models.MODELS[name](shape, classes, kernel_quantizer=lambda n: "ste_sign", **options)


TABLES: Tables = {"networks": lambda: table(build), "multi_bit": multi_bit_table}
