"""Zero channels beside a map's own."""

from __future__ import annotations

from typing import Any

from keras_sparsebnn._keras import keras, lq, tf

__all__ = ["PadChannels"]


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class PadChannels(keras.layers.Layer):  # type: ignore[misc]
    r"""Makes a map wider by channels of zeros, as many before its own as after.

    Forward:   `y = [0, x, 0]` along the channels; an odd one comes after.
    Backward:  `g(x)` is the middle of `g(y)`.

    Args:
        channels: of the result, at least as many as come in.

    Shape:
        `[..., C]` -> `[..., channels]`.

    Raises:
        ValueError: at build, if there are more channels already.

    Example:
        >>> PadChannels(4)(tf.ones([1, 2])).numpy().tolist()
        [[0.0, 1.0, 1.0, 0.0]]

    Reference: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
    arXiv:1512.03385, section 3.3, option A. Deviates: it pads on both sides, as the code of
    binary ResNet-20 does.
    """

    def __init__(self, channels: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.channels = int(channels)

    def build(self, input_shape: tf.TensorShape) -> None:
        if input_shape[-1] is None or input_shape[-1] > self.channels:
            raise ValueError(
                f"Expected at most {self.channels} channels, got {input_shape[-1]} "
                f"(layer {self.name})."
            )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        more = self.channels - inputs.shape[-1]
        sides = [[0, 0]] * (inputs.shape.rank - 1) + [[more // 2, more - more // 2]]
        return tf.pad(inputs, sides)

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return tf.TensorShape([*tf.TensorShape(input_shape)[:-1], self.channels])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "channels": self.channels}
