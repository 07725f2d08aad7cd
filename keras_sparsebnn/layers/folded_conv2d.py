"""The base class of convolutions that a file has as several layers."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.layers.sparse_binary_conv2d import SparseBinaryConv2D

__all__ = ["FoldedConv2D"]


class FoldedConv2D(SparseBinaryConv2D, abc.ABC):
    """A convolution in training; plain binary ones, and what joins them, in a file.

    `freeze` puts the layers of `folded` in its place, and has `fold_into` set their weights.

    Raises:
        ValueError: at build, for channels first; else as `SparseBinaryConv2D`.
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        if self.data_format != "channels_last":
            raise ValueError(
                f"Expected channels last, got {self.data_format} (layer {self.name})."
            )
        super().build(input_shape)

    @abc.abstractmethod
    def folded(self, configured: Callable[[Any], Any]) -> keras.layers.Layer:
        """The layers that a file has in place of this one, still without its weights.

        Args:
            configured: from a configuration, here of quantizers, to that of its copy.
        """

    @abc.abstractmethod
    def fold_into(
        self, copy: keras.layers.Layer, planes: Sequence[npt.NDArray[np.float32]]
    ) -> None:
        """Sets the weights of what `folded` made.

        Args:
            copy: built.
            planes: the binary kernels, `[k, k, Cin / groups, Cout]` each: one, or those of
                `binary_planes`.
        """

    @property
    @abc.abstractmethod
    def extra_parameters(self) -> int:
        """How many more numbers, not counting planes, the layers of `folded` have."""

    @abc.abstractmethod
    def file_selection(self, part: str) -> npt.NDArray[np.int64] | None:
        """Ids of the codewords that the layer `part` of a file may use; None if any."""

    def _latent(self) -> tf.Tensor:
        """The kernel that the optimizer trains, rounded as where the layer computes."""
        with lq.context.quantized_scope(False):
            return tf.cast(tf.cast(self.kernel, self.compute_dtype), tf.float32)

    def _one_input_shape(self) -> tuple[int | None, ...]:
        try:
            return tuple(self.input_shape[1:])
        except AttributeError:  # called with several shapes, or inside a wrapper
            return None, None, int(self.kernel.shape[2]) * self.groups

    def _file_conv(
        self, filters: int, name: str, signs: lq.quantizers.Quantizer, bias: bool
    ) -> lq.layers.QuantConv2D:
        """A binary convolution with this one's geometry, padded with +1."""
        return lq.layers.QuantConv2D(
            filters,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            pad_values=1.0 if self.padding == "same" else 0.0,
            dilation_rate=self.dilation_rate,
            groups=self.groups,
            input_quantizer=signs,
            kernel_quantizer=lq.quantizers.NoOp(precision=1),
            use_bias=bias,
            name=name,
        )

    def _folded_into(
        self, before: keras.layers.Layer, inputs: tf.Tensor, outputs: tf.Tensor
    ) -> keras.Sequential:
        """`before`, then a graph with this layer's activation, under this layer's name.

        Not a graph alone: Keras's `clone_model` would look for its layers for ever.
        """
        if self.activation not in (None, keras.activations.linear):
            outputs = keras.layers.Activation(self.activation)(outputs)
        parts = keras.Model(inputs, outputs, name=f"{self.name}_parts")
        return keras.Sequential([before, parts], name=self.name)
