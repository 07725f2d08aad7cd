r"""The filters of `LceBconv2d`, as packed words and as codewords.

LCE keeps a filter as int32 `[Cout, Kh, Kw, ceil(Cin / groups / 32)]`: channel `i` is bit
`i % 32` of word `i // 32`, and a bit is 1 where the weight is -1. Where the output is
bit-packed and a channel's multiplier is negative, LCE flips the channel's whole filter
instead, so a codeword becomes its complement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn.converters.filters.convolution import BinaryConvolution, operators_named
from keras_sparsebnn.tflite_file import Model, ModelFileError, Operator, Tensor

__all__ = ["BCONV", "PackedFilter", "codeword_ids", "packed_filters"]

BCONV = "LceBconv2d"


@dataclass(frozen=True, kw_only=True)
class PackedFilter(BinaryConvolution):
    """One with a filter of packed words.

    Attributes:
        filter: its filter.
        words: int32 `[Cout, Kh, Kw, ceil(Cin / groups / 32)]`.
        channels: Cin / groups.
    """

    filter: Tensor
    words: npt.NDArray[np.int32]
    channels: int

    @property
    def negative(self) -> npt.NDArray[np.bool_]:
        """bool `[Cout, Kh, Kw, Cin / groups]`, True where the weight is -1."""
        return unpack(self.words, self.channels)


def packed_filters(model: Model) -> Iterator[PackedFilter]:
    """Every `LceBconv2d` of a file with a packed filter, in execution order.

    Raises:
        ModelFileError: an operator is not shaped as LCE makes it.
    """
    for subgraph, index, operator in operators_named(model, BCONV):
        packed = _packed_filter(model, subgraph, index, operator)
        if packed is not None:
            yield packed


def _packed_filter(
    model: Model, subgraph: int, index: int, operator: Operator
) -> PackedFilter | None:
    tensors = model.subgraphs[subgraph].tensors
    ends = (*operator.inputs[:2], *operator.outputs[:1])
    if len(ends) < 3 or min(ends) < 0:
        raise ModelFileError(
            f"Expected {BCONV} with an input, a filter and an output, got "
            f"{len(operator.inputs)} inputs (operator {index}). The file is damaged."
        )
    tensor = tensors[operator.inputs[1]]
    channels = operator.options.get("channels_in")
    if tensor.dtype != "INT32" or not isinstance(channels, int):
        return None  # from before LCE packed filters at conversion
    words = model.constant(tensor, "INT32")
    if words.ndim != 4 or 0 in words.shape:
        raise ModelFileError(
            f"Expected a filter with four dimensions, got shape {list(tensor.shape)} "
            f"(operator {index}). The file is damaged."
        )
    per_group = words.shape[3] * 32
    if channels <= per_group - 32 or (channels > per_group and channels % per_group):
        raise ModelFileError(
            f"Expected filters of {channels} input channels, or of a whole part of them, got "
            f"{words.shape[3]} words of 32 (operator {index}). The file is damaged."
        )
    return PackedFilter(
        subgraph=subgraph,
        index=index,
        operator=operator,
        input=tensors[operator.inputs[0]],
        filter=tensor,
        output=tensors[operator.outputs[0]],
        words=words,
        channels=min(channels, per_group),
        groups=max(1, channels // per_group),
    )


def unpack(words: npt.NDArray[np.int32], channels: int) -> npt.NDArray[np.bool_]:
    """Packed words to bits.

    Shape:
        int32 `[..., ceil(channels / 32)]` -> bool `[..., channels]`.

    Example:
        >>> unpack(np.array([[5]], np.int32), 4).tolist()
        [[True, False, True, False]]
    """
    octets = np.ascontiguousarray(words, "<i4").view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, bitorder="little")
    return bits[..., :channels].astype(np.bool_)


def codeword_ids(negative: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint16] | None:
    """The codeword of each kernel, None if the kernel size has no codebook.

    Shape:
        bool `[Cout, K, K, Cin]` -> `[Cout, Cin]`.
    """
    height, width = negative.shape[1:3]
    if height != width or height not in codebook.KERNEL_SIZES:
        return None
    # Tap by tap, not through codebook.encode: a fraction of the memory.
    taps = negative.reshape(negative.shape[0], height * width, negative.shape[3])
    ids = np.zeros((taps.shape[0], taps.shape[2]), np.uint16)
    for t in range(height * width):
        ids |= taps[:, t].astype(np.uint16) << np.uint16(t)
    return ids
