"""What every binary convolution of a file has, however its filter is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from keras_sparsebnn.tflite_file import Model, Operator, Tensor

__all__ = ["BinaryConvolution", "operators_named"]


@dataclass(frozen=True, kw_only=True)
class BinaryConvolution:
    """One binary convolution of a file.

    Attributes:
        subgraph: number of the subgraph it is in.
        index: position among the operators of its subgraph.
        operator: the node.
        input: its activations.
        output: its result; INT32 if it hands bits to the next binary layer.
        groups: 1 for an ordinary convolution.
    """

    subgraph: int
    index: int
    operator: Operator
    input: Tensor
    output: Tensor
    groups: int


def operators_named(model: Model, name: str) -> Iterator[tuple[int, int, Operator]]:
    """`(subgraph, index, operator)` of every operator of a name, in execution order."""
    for number, subgraph in enumerate(model.subgraphs):
        for index, operator in enumerate(subgraph.operators):
            if operator.name == name:
                yield number, index, operator
