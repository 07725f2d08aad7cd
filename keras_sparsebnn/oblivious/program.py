"""An LCE file as layers that can be private: public shapes, secret bits.

    float image -> (x - threshold, a few times) -> LceQuantize
        -> LceBconv2d to bits | LceBMaxPool2d, any number of them
        -> LceBconv2d to floats, over the whole map: the scores

Whatever else is in the file, the error names it and what to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.oblivious.architecture import (
    FRACTION_BITS,
    MAX_EXTENT,
    MAX_LAYERS,
    Architecture,
    Layer,
    ObliviousError,
)
from keras_sparsebnn.oblivious.circuit import count_bits, score_bits
from keras_sparsebnn.tflite_file import (
    Model,
    ModelFileError,
    Operator,
    Subgraph,
    Table,
    Tensor,
    read,
)

__all__ = ["Program", "Secrets", "read_program"]

Secrets = dict[str, npt.NDArray[np.bool_]]
"""The server's bits of one layer, by the names and in the shapes of `circuit.layer_shapes`."""

_ADVICE = "models.oblivious is a network that can."

_WAYS_OUT = {
    "CONV_2D": "A float stem or shortcut computes with the server's weights in float: begin "
    "with a binary convolution of the image's bits. ",
    "DEPTHWISE_CONV_2D": "Use binary convolutions. ",
    "FULLY_CONNECTED": "End with a binary convolution over the whole map. ",
    "ADD": "Leave out shortcuts: bits cannot be added to floats. ",
    "MEAN": "End with a binary convolution over the whole map. ",
    "AVERAGE_POOL_2D": "Use max pools of bits. ",
    "MAX_POOL_2D": "Put batch norm before the pool, and a sign right after it. ",
    "PRELU": "Leave out float activations. ",
    "MUL": "Put batch norm right after a binary convolution, and the sign right after it. ",
    "SparsebnnBconv2d": "Convert with --format lce: a public codebook tells of the weights. ",
}


@dataclass(frozen=True)
class Program:
    """A network that can be private.

    Attributes:
        architecture: what both sides know.
        secrets: what only the server knows, a mapping a layer.
    """

    architecture: Architecture
    secrets: tuple[Secrets, ...]


def read_program(source: bytes | str | os.PathLike[str]) -> Program:
    """Reads an LCE file.

    Args:
        source: a path, or the bytes of a .tflite.

    Raises:
        ModelFileError: no .tflite, or a damaged one.
        ObliviousError: it has something that cannot be private; the error names it.
    """
    model = read(source)
    if len(model.subgraphs) != 1:
        raise ObliviousError(f"Expected a file of one graph, got {len(model.subgraphs)}.")
    return _Reader(model).program()


class _Reader:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.graph: Subgraph = model.subgraphs[0]
        # Of a tensor of floats, for each channel: the image's channel, and what is subtracted.
        self.pixels: dict[int, list[tuple[int, float]]] = {}
        self.encoding: list[tuple[int, float]] = []
        self.current = -1
        self.finished = False
        self.layers: list[Layer] = []
        self.secrets: list[Secrets] = []

    def program(self) -> Program:
        graph = self.graph
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ObliviousError("Expected one input and one output, got several.")
        image = self.tensor(graph.inputs[0])
        if len(image.shape) != 4 or image.dtype != "FLOAT32" or not 0 < image.shape[3] <= 4096:
            raise ObliviousError(
                f"Expected a float image [1, H, W, C], got {image.dtype} of "
                f"{list(image.shape)}."
            )
        self.pixels[graph.inputs[0]] = [(channel, 0.0) for channel in range(image.shape[3])]
        steps: dict[str, Callable[[Operator], None]] = {
            "SUB": self.subtraction,
            "ADD": self.subtraction,
            "CONCATENATION": self.concatenation,
            "LceQuantize": self.quantization,
            "LceBconv2d": self.convolution,
            "LceBMaxPool2d": self.pool,
            "RESHAPE": self.reshape,
        }
        for number, operator in enumerate(graph.operators):
            step = steps.get(operator.name)
            try:
                if step is None:
                    raise _RefusedError
                if not operator.inputs or len(operator.outputs) != 1:
                    raise ModelFileError("no input or no output. The file is damaged")
                step(operator)
            except _RefusedError as refused:
                way_out = str(refused) or _WAYS_OUT.get(operator.name, "")
                raise ObliviousError(
                    f"Expected a network that can be private, got {operator.name} (operator "
                    f"{number}). {way_out}{_ADVICE}"
                ) from None
        if not self.finished or self.current != graph.outputs[0]:
            raise ObliviousError(
                "Expected a network that ends with a binary convolution to one score a class, "
                f"got another end. {_ADVICE}"
            )
        architecture = Architecture(
            (image.shape[1], image.shape[2], image.shape[3]),
            tuple(self.encoding),
            tuple(self.layers),
        )
        architecture.check()
        return Program(architecture, tuple(self.secrets))

    def tensor(self, index: int) -> Tensor:
        if index < 0:
            raise ModelFileError("Expected a tensor, got an absent one. The file is damaged.")
        return self.graph.tensors[index]

    def subtraction(self, operator: Operator) -> None:
        """`x - t` or `x + t` of the image, with a t for each channel or one for all."""
        sign = 1.0 if operator.name == "SUB" else -1.0
        if len(operator.inputs) != 2 or operator.inputs[0] not in self.pixels:
            raise _RefusedError
        before = self.pixels[operator.inputs[0]]
        other = self.tensor(operator.inputs[1])
        options = operator.table.fields.get("builtin_options")
        if not len(self.model.data(other)) or _integer(options, "fused_activation_function"):
            raise _RefusedError
        values = self.model.constant(other, "FLOAT32")
        channels = values.shape[-1] if values.ndim else 1
        if values.size != channels or any(taken for _, taken in before):
            raise _RefusedError
        # An image of one channel has as many as there are thresholds afterwards.
        if len(before) not in (1, channels) and channels != 1:
            raise _RefusedError
        count = max(len(before), channels)
        thresholds = np.broadcast_to(values.reshape(-1), count).tolist()
        sources = before if len(before) == count else before * count
        self.keep(
            operator.outputs[0],
            [
                (channel, sign * threshold)
                for (channel, _), threshold in zip(sources, thresholds, strict=True)
            ],
        )

    def keep(self, tensor: int, pairs: list[tuple[int, float]]) -> None:
        """A tensor of floats that are pixels; that many as one pixel's bits may need."""
        self.pixels[tensor] = pairs
        if sum(map(len, self.pixels.values())) > 16 * MAX_EXTENT:
            raise _RefusedError

    def concatenation(self, operator: Operator) -> None:
        options = operator.table.fields.get("builtin_options")
        if any(index not in self.pixels for index in operator.inputs) or _integer(
            options, "axis"
        ) not in (3, -1):
            raise _RefusedError
        joined = [pair for index in operator.inputs for pair in self.pixels[index]]
        if len(joined) > 4096:
            raise _RefusedError
        self.keep(operator.outputs[0], joined)

    def quantization(self, operator: Operator) -> None:
        if operator.inputs[0] not in self.pixels or self.encoding:
            raise _RefusedError(
                "It makes bits of floats that are no image: batch norm right after a binary "
                "convolution, and the sign right after it. "
            )
        self.encoding = self.pixels[operator.inputs[0]]
        self.current = operator.outputs[0]

    def reshape(self, operator: Operator) -> None:
        """Takes a reshape of the scores, which have one row and one column."""
        if not self.finished or operator.inputs[0] != self.current:
            raise _RefusedError("Only scores are reshaped. ")
        self.current = operator.outputs[0]

    def pool(self, operator: Operator) -> None:
        shape = self.follow(operator)
        *window, padding = _options(operator, "filter_height", "filter_width", "padding")
        layer = self.append("pool", operator, shape, shape[2], tuple(window), padding=padding)
        for side in (0, 1):
            # Outside of the map, a pool has no pixels, where a convolution has +1.
            end = (layer.output[side] - 1) * layer.stride[side] + layer.kernel[side]
            if end > layer.input[side]:
                raise _RefusedError('Its windows leave the map: use padding="valid". ')
        self.secrets.append({})

    def follow(self, operator: Operator) -> tuple[int, int, int]:
        """The map that an operator gets: rows, columns, channels."""
        if operator.inputs[0] != self.current or self.finished:
            raise _RefusedError("Each layer takes the bits of the one before it. ")
        if self.layers:
            return self.layers[-1].output
        rows, columns = self.tensor(self.graph.inputs[0]).shape[1:3]
        return rows, columns, len(self.encoding)

    def append(
        self,
        kind: str,
        operator: Operator,
        shape: tuple[int, int, int],
        channels: int,
        kernel: tuple[int, ...],
        *,
        padding: int,
        dilation: tuple[int, ...] = (1, 1),
    ) -> Layer:
        if dilation != (1, 1):
            raise _RefusedError("Use no dilation. ")
        if len(self.layers) == MAX_LAYERS:
            raise _RefusedError(f"Use at most {MAX_LAYERS} layers. ")
        stride = _options(operator, "stride_height", "stride_width")
        sides = [_side(shape[k], kernel[k], stride[k], same=padding == 0) for k in (0, 1)]
        layer = Layer(
            kind=kind,
            input=shape,
            output=(sides[0][0], sides[1][0], channels),
            kernel=(kernel[0], kernel[1]),
            stride=(stride[0], stride[1]),
            pads=(sides[0][1], sides[1][1]),
        )
        if kind != "scores" or layer.output[:2] == (1, 1):
            layer.check()
        self.layers.append(layer)
        self.current = operator.outputs[0]
        return layer

    def convolution(self, operator: Operator) -> None:
        if len(operator.inputs) < 5:
            raise ModelFileError("Expected 5 inputs of LceBconv2d. The file is damaged.")
        shape = self.follow(operator)
        words = self.model.constant(self.tensor(operator.inputs[1]), "INT32")
        if words.ndim != 4 or 0 in words.shape or words.size > 2**26:
            raise ModelFileError(
                f"Expected a filter with four dimensions, got {list(words.shape)}. The file is "
                "damaged."
            )
        channels, dilation_y, dilation_x, activation, padding, value = _options(
            operator,
            *("channels_in", "dilation_height_factor", "dilation_width_factor"),
            *("fused_activation_function", "padding", "pad_values"),
        )
        if channels != shape[2]:
            raise ModelFileError(
                f"Expected {shape[2]} input channels, got {channels}. The file is damaged."
            )
        if words.shape[3] != -(-channels // 32):
            raise _RefusedError("Use no groups. ")
        if padding == 0 and value != 1 and words.shape[1:3] != (1, 1):
            raise _RefusedError("Pad with +1: pad_values=1. ")
        packed = self.tensor(operator.outputs[0]).dtype == "INT32"
        layer = self.append(
            "convolution" if packed else "scores",
            operator,
            shape,
            words.shape[0],
            words.shape[1:3],
            padding=padding,
            dilation=(dilation_y, dilation_x),
        )
        octets = np.ascontiguousarray(words, "<i4").view(np.uint8)
        bits = np.unpackbits(octets, axis=-1, bitorder="little")[..., :channels]
        weights = bits.reshape(len(bits), -1).T.astype(np.bool_)
        if packed:
            self.thresholds(operator, layer, weights)
        elif activation:
            raise _RefusedError("Scores have no activation. ")
        else:
            self.scores(operator, layer, weights)

    def thresholds(
        self, operator: Operator, layer: Layer, weights: npt.NDArray[np.bool_]
    ) -> None:
        values = self.constants(operator, 4, "INT32", weights.shape[1]).astype(np.int64)
        b, taps = count_bits(layer.taps), layer.taps
        always = values < 0
        addends = 2**b - 1 - np.where(always, taps, np.minimum(values, taps))
        self.secrets.append(
            {"weights": weights, "addends": _digits(addends, b), "inverted": always[None]}
        )

    def scores(self, operator: Operator, layer: Layer, weights: npt.NDArray[np.bool_]) -> None:
        if layer.output[:2] != (1, 1):
            raise _RefusedError(
                f"It has {layer.output[0]}x{layer.output[1]} scores for each class: let its "
                "window be the whole map. "
            )
        classes = weights.shape[1]
        multiplier = self.constants(operator, 2, "FLOAT32", classes).astype(np.float64)
        bias = self.constants(operator, 3, "FLOAT32", classes).astype(np.float64)
        if not np.isfinite([multiplier, bias]).all():
            raise ModelFileError("Expected finite scores, got others. The file is damaged.")
        scale = multiplier[0]
        if scale <= 0 or np.any(multiplier != scale):
            raise _RefusedError(
                "Its scores have a scale for each class: no batch norm after the last layer. "
            )
        self.finished = True
        self.secrets.append({"weights": weights, "biases": _biases(bias / scale, layer.taps)})

    def constants(
        self, operator: Operator, which: int, dtype: str, count: int
    ) -> npt.NDArray[np.generic]:
        tensor = self.tensor(operator.inputs[which])
        if tensor.shape != (count,):
            raise ModelFileError(
                f"Expected {count} constants of LceBconv2d, got {list(tensor.shape)}. The file "
                "is damaged."
            )
        return self.model.constant(tensor, dtype)


class _RefusedError(Exception):
    """An operator that cannot be private; its text is a way out that is better than others."""


def _integer(table: object, name: str) -> int:
    if not isinstance(table, Table):
        return 0
    try:
        return table.integer(name)
    except KeyError:
        raise ModelFileError(
            f"Expected options with {name}, got {table.kind}. The file is damaged."
        ) from None


def _options(operator: Operator, *names: str) -> tuple[int, ...]:
    values = [operator.options.get(name) for name in names]
    if not all(type(value) is int and 0 <= value <= 65535 for value in values):
        raise ModelFileError(
            f"Expected {operator.name} to have {', '.join(names)}. The file is damaged."
        )
    return tuple(int(value) for value in values if value is not None)


def _side(size: int, kernel: int, stride: int, *, same: bool) -> tuple[int, int]:
    """TFLite's geometry of one axis: outputs, and pixels padded before the first."""
    if stride < 1 or kernel < 1:
        raise ModelFileError("Expected a stride and a window of 1 or more, got 0.")
    if not same:
        if kernel > size:
            raise ModelFileError("Expected a window within the map, got a larger one.")
        return (size - kernel) // stride + 1, 0
    outputs = -(-size // stride)
    return outputs, max(0, (outputs - 1) * stride + kernel - size) // 2


def _digits(numbers: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.bool_]:
    """`[C]` -> `[bits, C]`, lowest first."""
    return (numbers[None] >> np.arange(bits)[:, None] & 1).astype(np.bool_)


def _biases(bias: npt.NDArray[np.float64], taps: int) -> npt.NDArray[np.bool_]:
    """Half a bias is worth one match; a class that no image can win may have any low one."""
    shifted = np.maximum(0.0, bias / 2 - np.max(bias / 2) + taps + 1)
    return _digits(np.rint(shifted * 2**FRACTION_BITS).astype(np.int64), score_bits(taps))
