"""BCDNet's dynamic embedding: thresholds that the whole map decides on."""

from __future__ import annotations

from typing import Any

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn._rules import check, integer
from keras_sparsebnn.activations.per_channel import known_channels

__all__ = ["DynamicEmbedding"]


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class DynamicEmbedding(keras.layers.Layer):  # type: ignore[misc]
    r"""RSign with thresholds from the whole map, and what they add to the convolution after it.

    Forward:   `z = W1 mean_{h,w}(x)`, `y = x + shift - W2 z`, `offset = W3 z`;
               a block then computes `BN(sign(y) * W + offset)`.
    Backward:  ordinary differentiation.

    `shift` is `LearnableShift`'s. W2 and W3 start at 0, so a block starts as one with RSign;
    `z` is not 0, so they learn from the first step on.

    Args:
        filters: F, of the convolution that follows.
        reduction: r, by which `z` has fewer channels than the map.

    Shape:
        `[B, H, W, C]` -> `y`, the same, and `offset`, `[B, 1, 1, F]`. W1 is `[C, C / r]`,
        rounded down but at least one column, W2 `[C / r, C]`, W3 `[C / r, F]`.

    Raises:
        ValueError: for numbers below 1; at build, if the number of channels is unknown.

    Example:
        >>> y, offset = DynamicEmbedding(8)(tf.ones([1, 2, 2, 4]))
        >>> y.shape, offset.shape
        (TensorShape([1, 2, 2, 4]), TensorShape([1, 1, 1, 8]))

    Reference: Xing et al., "Towards Accurate Binary Neural Networks via Modeling Contextual
    Dependencies", ECCV 2022, arXiv:2209.01404; the equation is from its poster, its public code
    has no dynamic embedding. Deviates: `shift`, which the poster does not show; r = 4 fits the
    published operations, but is not stated; nor is how W2 and W3 start.
    """

    def __init__(self, filters: int, reduction: int = 4, **kwargs: object) -> None:
        super().__init__(**kwargs)
        check("filters", filters, integer(1, 65_536))
        check("reduction", reduction, integer(1, 65_536))
        self.filters = filters
        self.reduction = reduction

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = known_channels(self, input_shape)
        inner = max(1, channels // self.reduction)
        self.w1 = self.add_weight(name="w1", shape=(channels, inner))
        self.w2 = self.add_weight(name="w2", shape=(inner, channels), initializer="zeros")
        self.w3 = self.add_weight(name="w3", shape=(inner, self.filters), initializer="zeros")
        self.shift = self.add_weight(name="shift", shape=(channels,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # A mean over a map needs more digits than bfloat16 has.
        mean = tf.reduce_mean(tf.cast(inputs, tf.float32), axis=[1, 2])
        z = tf.matmul(tf.cast(mean, inputs.dtype), self.w1)
        threshold = tf.matmul(z, self.w2) - self.shift
        offset = tf.matmul(z, self.w3)
        return (
            inputs - tf.reshape(threshold, [-1, 1, 1, inputs.shape[-1]]),
            tf.reshape(offset, [-1, 1, 1, self.filters]),
        )

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tuple[Any, Any]:
        shape = tf.TensorShape(input_shape)
        return shape, tf.TensorShape([shape[0], 1, 1, self.filters])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "reduction": self.reduction}
