"""The base class of activations with parameters per channel."""

from __future__ import annotations

from keras_sparsebnn._keras import keras, tf

__all__ = ["PerChannel", "channel_sums", "known_channels"]


def known_channels(layer: keras.layers.Layer, input_shape: tf.TensorShape) -> int:
    """The last axis of a layer's input.

    Raises:
        ValueError: it is unknown.
    """
    channels = input_shape[-1]
    if channels is None:
        raise ValueError(
            f"Expected a known number of channels, got shape {tuple(input_shape)} "
            f"(layer {layer.name}). Fix the last axis of its input."
        )
    return int(channels)


def channel_sums(x: tf.Tensor) -> tf.Tensor:
    """`sum x_c` over every axis but the last: `[..., C]` -> `[C]`.

    As a product with ones: on a CPU that is faster than TensorFlow's `Sum`.

    Example:
        >>> channel_sums(tf.ones([2, 3, 1])).numpy().tolist()
        [6.0]
    """
    rows = tf.reshape(x, [-1, tf.shape(x)[-1]])
    return tf.matmul(tf.ones([1, tf.shape(rows)[0]], rows.dtype), rows)[0]


class PerChannel(keras.layers.Layer):  # type: ignore[misc]
    """A layer whose parameters are vectors over the last axis.

    Subclasses name them with their first values in `parameters`. They are float32 and exempt
    from nothing: under a mixed policy they are cast with the inputs, as Keras does.

    Raises:
        ValueError: at build, if the number of channels is unknown.
    """

    parameters: tuple[tuple[str, float], ...] = ()

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = known_channels(self, input_shape)
        for name, first in self.parameters:
            weight = self.add_weight(
                name=name, shape=(channels,), initializer=keras.initializers.Constant(first)
            )
            setattr(self, name, weight)
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: channels})
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return input_shape
