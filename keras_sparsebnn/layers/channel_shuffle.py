"""ShuffleNet's order of channels, in which every group gets some of every part of the map."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn._rules import check, integer
from keras_sparsebnn.activations.per_channel import known_channels

__all__ = ["ChannelShuffle", "shuffled_channels"]


def shuffled_channels(channels: int, groups: int) -> npt.NDArray[np.int64]:
    """The channels in the order in which `ChannelShuffle` puts them.

    Example:
        >>> shuffled_channels(6, 2).tolist()
        [0, 3, 1, 4, 2, 5]
    """
    return np.arange(channels).reshape(groups, -1).T.ravel()


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class ChannelShuffle(keras.layers.Layer):  # type: ignore[misc]
    r"""Deals channels out to groups, so that each group gets some of every part of the map.

    Forward, with C channels and G groups:

        y[..., b G + a] = x[..., a C / G + b]        0 <= a < G, 0 <= b < C / G

    Backward:  `g(x)` is `g(y)` in the old order.

    Signs commute with it. Have the sign after it, as the `input_quantizer` of a convolution:
    only there it becomes part of LCE's.

    Args:
        groups: G, 1 or more.

    Shape:
        `[B, H, W, C]` -> the same; C is a multiple of G.

    Raises:
        ValueError: for other groups; at build, for other channels.

    Example:
        >>> ChannelShuffle(2)(tf.reshape(tf.range(6.0), [1, 1, 1, 6])).numpy().ravel().tolist()
        [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]

    Reference: Zhang et al., "ShuffleNet", CVPR 2018, arXiv:1707.01083, section 3.1. Deviates:
    nothing.
    """

    def __init__(self, groups: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        check("groups", groups, integer(1, 65_536))
        self.groups = groups

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = known_channels(self, input_shape)
        if channels % self.groups:
            raise ValueError(
                f"Expected a multiple of {self.groups} channels, one for each group, got "
                f"{channels} (layer {self.name})."
            )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if self.groups == 1:
            return inputs
        channels = inputs.shape[-1]
        size = tf.shape(inputs)
        around = [
            size[axis] if inputs.shape[axis] is None else inputs.shape[axis] for axis in (1, 2)
        ]
        parts = tf.reshape(inputs, [-1, *around, self.groups, channels // self.groups])
        return tf.reshape(tf.transpose(parts, [0, 1, 2, 4, 3]), [-1, *around, channels])

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups}
