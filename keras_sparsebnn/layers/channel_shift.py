"""BCDNet's shifts of channels, through which a binary layer sees farther."""

from __future__ import annotations

from typing import Any

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn._rules import is_int

__all__ = ["SHIFT_MODES", "ChannelShift"]

SHIFT_MODES = ("circular", "pad")
"""What a shift fills the rows and columns with that it frees."""


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class ChannelShift(keras.layers.Layer):  # type: ignore[misc]
    r"""Moves the four quarters of the channels down, up, right and left.

    Forward, with d the distance:

        y[h, w, c] = x[h - d, w, c]   in the first quarter of the channels
                     x[h + d, w, c]   in the second
                     x[h, w - d, c]   in the third
                     x[h, w + d, c]   in the fourth

    Rows and columns count modulo the map's size ("circular"), or those from outside of it are
    +1 ("pad"), as the padding of binary convolutions.

    Backward:  `g(x)` is `g(y)` moved back.

    Signs commute with it: `sign(shift(x)) = shift(sign(x))`. Have the sign after it, as the
    `input_quantizer` of a convolution: only there it becomes part of LCE's.

    Args:
        distance: d, 1 or more; or "half" for half of the rows, and half of the columns,
            rounded down.
        mode: "circular" or "pad".

    Shape:
        `[B, H, W, C]` -> the same; C is a multiple of 4.

    Raises:
        ValueError: for another distance or mode; at build, for other channels, or for a map of
            unknown size.

    Example:
        >>> row = tf.reshape([1.0, 2.0, 3.0], [1, 1, 3, 1])
        >>> ChannelShift(1)(tf.repeat(row, 4, axis=3))[0, 0, :, 2].numpy().tolist()
        [3.0, 1.0, 2.0]

    Reference: Xing et al., "Towards Accurate Binary Neural Networks via Modeling Contextual
    Dependencies", ECCV 2022, arXiv:2209.01404, its poster and its public code.
    Deviates: nothing; "half" is 3 in 7 rows, as in the code, which is circular, where a figure
    of the poster pads.
    """

    def __init__(
        self, distance: int | str = 1, mode: str = "circular", **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        if distance != "half" and not (is_int(distance) and distance >= 1):
            raise ValueError(
                f'Expected `distance` to be a whole number above 0 or "half", got '
                f"{distance!r:.60} (layer {self.name})."
            )
        if mode not in SHIFT_MODES:
            raise ValueError(
                f"Expected a shift of {' or '.join(SHIFT_MODES)}, got {mode!r:.60} "
                f"(layer {self.name})."
            )
        self.distance = distance
        self.mode = mode

    def build(self, input_shape: tf.TensorShape) -> None:
        shape = tuple(tf.TensorShape(input_shape).as_list())
        if len(shape) != 4 or None in shape[1:]:
            raise ValueError(
                f"Expected maps of a known size, got shape {shape} (layer {self.name})."
            )
        if shape[-1] % 4:
            raise ValueError(
                f"Expected a multiple of 4 channels, got {shape[-1]} (layer {self.name})."
            )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        quarter = inputs.shape[-1] // 4
        moved = [
            self._moved(inputs, [0, 0, 0, index * quarter], quarter, axis, forwards)
            for index, (axis, forwards) in enumerate(
                ((1, True), (1, False), (2, True), (2, False))
            )
        ]
        return tf.concat(moved, axis=-1)

    def _moved(
        self, x: tf.Tensor, first: list[int], channels: int, axis: int, forwards: bool
    ) -> tf.Tensor:
        """`channels` channels of the map from `first` on, moved along one axis.

        Slices of the map itself: what stays inside of it, then what it is filled with.
        """
        rows = x.shape[axis]
        distance = rows // 2 if self.distance == "half" else int(self.distance)
        distance = distance % rows if self.mode == "circular" else min(distance, rows)

        def piece(start: int, size: int) -> tf.Tensor:
            begin, sizes = [*first], [-1, *x.shape[1:3], channels]
            begin[axis], sizes[axis] = start, size
            return tf.slice(x, begin, sizes)

        inside = piece(0 if forwards else distance, rows - distance)
        if distance == 0:
            return inside
        if self.mode == "pad":
            widths = [[0, 0]] * 4
            widths[axis] = [distance, 0] if forwards else [0, distance]
            return tf.pad(inside, widths, constant_values=1.0)
        around = piece(rows - distance if forwards else 0, distance)
        return tf.concat([around, inside] if forwards else [inside, around], axis=axis)

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "distance": self.distance, "mode": self.mode}
