r"""The filters of `SparsebnnBconv2d`: a codebook and an index of `b` bits per kernel.

FORMAT.md specifies the operator. Kernel `(o, c)` of a filter is codeword
`codebook[index[o * C + c]]`, where C is the number of input channels in a group; index `i` is
bits `i b .. i b + b - 1` of the stream, and bit `t` of the stream is bit `t % 8` of byte
`t // 8`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn.converters.filters.convolution import BinaryConvolution, operators_named
from keras_sparsebnn.converters.filters.decoding_work import DecodingWork
from keras_sparsebnn.tflite_file import Model, ModelFileError, Operator, Tensor

__all__ = [
    "FORMAT_VERSION",
    "SUB_BIT_BCONV",
    "SubBitFilter",
    "filter_words",
    "index_bits",
    "pack_indices",
    "sub_bit_bytes",
    "sub_bit_filters",
    "unpack_indices",
]

SUB_BIT_BCONV = "SparsebnnBconv2d"
FORMAT_VERSION = 1

KERNEL_SIZE = 3
TAPS = KERNEL_SIZE**2
CODEWORDS = codebook.codebook_size(KERNEL_SIZE)
CODEBOOK_ENTRY_BYTES = 2

_INPUTS = 6
_INDICES, _CODEBOOK = 1, 2

Ids = npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class SubBitFilter(BinaryConvolution):
    """One with a filter of codebook indices, checked.

    Attributes:
        indices: its packed indices.
        codebook: its codewords.
        ids: codeword of each kernel, uint16 `[Cout, Cin / groups]`.
        bits: per index.
    """

    indices: Tensor
    codebook: Tensor
    ids: Ids
    bits: int

    @property
    def channels(self) -> int:
        """Cin / groups."""
        return int(self.ids.shape[1])


def index_bits(codewords: int) -> int:
    """`max(1, ceil(log2(n)))`, the bits of an index into `n` codewords.

    Example:
        >>> [index_bits(n) for n in (1, 2, 3, 32, 33, 512)]
        [1, 1, 2, 5, 6, 9]
    """
    return max(1, (codewords - 1).bit_length())


def sub_bit_bytes(kernels: int, codewords: int) -> int:
    """Bytes of the indices of `kernels` 3x3 kernels and of their codebook.

    Example:
        >>> sub_bit_bytes(64 * 64, 32)  # 5/9 of 4,608, and 64 for the codebook
        2624
    """
    return -(-kernels * index_bits(codewords) // 8) + CODEBOOK_ENTRY_BYTES * codewords


def pack_indices(indices: npt.NDArray[Any], bits: int) -> bytes:
    """The stream, zeros up to a whole byte.

    Example:
        >>> pack_indices(np.array([1, 2, 3]), 3).hex()  # 011 010 001 from the right
        'd100'
    """
    planes = (indices.reshape(-1, 1).astype(np.uint16) >> np.arange(bits, dtype=np.uint16)) & 1
    return np.packbits(planes.astype(np.uint8).reshape(-1), bitorder="little").tobytes()


def unpack_indices(data: bytes, count: int, bits: int) -> npt.NDArray[np.uint16]:
    """The first `count` indices of the stream; inverse of `pack_indices`."""
    stream = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    planes = stream[: count * bits].reshape(count, bits)
    indices = np.zeros(count, np.uint16)
    for bit in range(bits):
        indices |= planes[:, bit].astype(np.uint16) << np.uint16(bit)
    return indices


def filter_bytes(shape: tuple[int, ...]) -> int:
    """Bytes of `filter_words` of ids `[Cout, C]`.

    Example:
        >>> filter_bytes((8, 33))
        576
    """
    outputs, channels = shape
    return outputs * TAPS * -(-channels // 32) * 4


def filter_words(ids: Ids) -> npt.NDArray[np.int32]:
    """The filter as `LceBconv2d` has it, padding bits zero.

    Shape:
        `[Cout, C]` -> int32 `[Cout, 3, 3, ceil(C / 32)]`.
    """
    outputs, channels = ids.shape
    octets = np.zeros((outputs, TAPS, -(-channels // 32) * 4), np.uint8)
    for tap in range(TAPS):
        negative = ((ids >> np.uint16(tap)) & 1).astype(np.uint8)
        packed = np.packbits(negative, axis=1, bitorder="little")
        octets[:, tap, : packed.shape[1]] = packed
    return octets.view("<i4").reshape(outputs, KERNEL_SIZE, KERNEL_SIZE, -1)


def sub_bit_filters(model: Model) -> Iterator[SubBitFilter]:
    """Every `SparsebnnBconv2d` of a file, decoded, in execution order.

    Raises:
        ModelFileError: an operator breaks a rule of FORMAT.md, or is of another version.
    """
    work = DecodingWork(model)
    known: dict[tuple[int, ...], Ids] = {}  # what operators share is decoded once
    for subgraph, index, operator in operators_named(model, SUB_BIT_BCONV):
        yield _sub_bit_filter(model, subgraph, index, operator, work, known)


def _sub_bit_filter(
    model: Model,
    subgraph: int,
    index: int,
    operator: Operator,
    work: DecodingWork,
    known: dict[tuple[int, ...], Ids],
) -> SubBitFilter:
    where = f"operator {index} of subgraph {subgraph}"
    _check_version(operator, where)
    tensors = model.subgraphs[subgraph].tensors
    ends = (*operator.inputs[: _CODEBOOK + 1], *operator.outputs)
    if len(operator.inputs) != _INPUTS or len(operator.outputs) != 1 or min(ends) < 0:
        raise ModelFileError(
            f"Expected {SUB_BIT_BCONV} with {_INPUTS} inputs, of them activations, indices and "
            f"a codebook, and one output, got inputs {list(operator.inputs)} and outputs "
            f"{list(operator.outputs)} ({where}). The file is damaged."
        )
    bits = _option(operator, "index_bits", 1, TAPS, where)
    outputs = _option(operator, "channels_out", 1, 2**31 - 1, where)
    inputs = _option(operator, "channels_in", 1, 2**31 - 1, where)
    groups = _option(operator, "groups", 1, min(inputs, outputs), where)
    channels = inputs // groups
    if inputs % groups or outputs % groups or (groups > 1 and channels % 32):
        raise ModelFileError(
            f"Expected {groups} equal groups of a multiple of 32 input channels, got {inputs} "
            f"input and {outputs} output channels ({where}). The file is damaged."
        )
    indices, codewords = (tensors[operator.inputs[i]] for i in (_INDICES, _CODEBOOK))
    stream = model.constant(indices, "UINT8")
    book = model.constant(codewords, "UINT16")
    count = outputs * channels
    if stream.shape != (-(-count * bits // 8),):
        raise ModelFileError(
            f"Expected {-(-count * bits // 8)} bytes, {bits} bits for each of {count} kernels, "
            f"got shape {list(stream.shape)} (indices of {where}). The file is damaged."
        )
    if book.ndim != 1 or not 1 <= book.size <= 2**bits or book.max() >= CODEWORDS:
        raise ModelFileError(
            f"Expected a codebook of 1 to {2**bits} codewords below {CODEWORDS}, got shape "
            f"{list(book.shape)}, largest {book.max(initial=0)} ({where}). The file is damaged."
        )
    key = (indices.buffer, codewords.buffer, outputs, channels, bits)
    if key not in known:
        work.spend(stream.nbytes)
        known[key] = _ids(stream, book, count, bits, where).reshape(outputs, channels)
    return SubBitFilter(
        subgraph=subgraph,
        index=index,
        operator=operator,
        input=tensors[operator.inputs[0]],
        indices=indices,
        codebook=codewords,
        output=tensors[operator.outputs[0]],
        ids=known[key],
        bits=bits,
        groups=groups,
    )


def _ids(stream: npt.NDArray[np.uint8], book: Ids, count: int, bits: int, where: str) -> Ids:
    chosen = unpack_indices(stream.tobytes(), count, bits)
    if chosen.max() >= book.size:
        raise ModelFileError(
            f"Expected indices below {book.size}, the codewords there are, got "
            f"{chosen.max()} ({where}). The file is damaged."
        )
    unused = stream.size * 8 - count * bits
    if int(stream[-1]) >> (8 - unused):
        raise ModelFileError(
            f"Expected the last {unused} bits of the indices to be 0, got others ({where}). "
            "The file is damaged."
        )
    return book[chosen]


def _check_version(operator: Operator, where: str) -> None:
    version = operator.options.get("format_version")
    if version != FORMAT_VERSION or type(version) is not int:
        raise ModelFileError(
            f"Expected version {FORMAT_VERSION} of the sub-bit format, got {version!r} "
            f"({where}). Update keras_sparsebnn if a newer one wrote the file."
        )


def _option(operator: Operator, name: str, low: int, high: int, where: str) -> int:
    value = operator.options.get(name)
    if type(value) is not int or not low <= value <= high:
        raise ModelFileError(
            f"Expected option {name} to be an integer in [{low}, {high}], got {value!r} "
            f"({where}). The file is damaged."
        )
    return value
