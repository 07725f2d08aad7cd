r"""AdaBin: binary sets {-alpha + beta, alpha + beta} that follow weights and activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.activations import LearnableShift
from keras_sparsebnn.layers.folded_conv2d import FoldedConv2D
from keras_sparsebnn.quantizers import OneBit, SubsetKernel, make_quantizer

__all__ = ["ACTIVATION_SETS", "AdaBinConv2D"]

ACTIVATION_SETS = ("paper", "code")
"""Where the set of the activations has its centre."""

_MIN_SCALE = 1e-3  # of the activations
_TINY = 1e-8  # added to the weights' variance: a channel of equal weights has none


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class AdaBinConv2D(FoldedConv2D):
    r"""A convolution of two-valued inputs with two-valued kernels, both with a learned centre.

    Forward, per output channel o over its k k Cin weights:

        beta_o  = mean(W_o),   alpha_o = sqrt(mean((W_o - beta_o)^2))
        what_o  = alpha_o sign((W_o - beta_o) / alpha_o) + beta_o

    and with one learned `alpha_a` and `beta_a` a layer, which start at 1 and 0:

        xhat    = alpha_a s((x - beta_a) / alpha_a) + c,   c = beta_a   ("paper")
                                                           c = alpha_a beta_a   ("code")
        y       = xhat * what

    Backward:  ordinary differentiation, through alpha_o and beta_o too. `s` has the gradient of
               `input_quantizer`, by default Bi-Real Net's polynomial; the sign of the weights
               that of the kernel quantizer, by default EDE: `k t (1 - tanh^2(t x))`.

    With codewords, `argmin_{u in U} ||u - w_c||`, `w_c` a kernel of `(W_o - beta_o) / alpha_o`,
    takes the place of the sign.

    In a file a layer is, exactly, one binary convolution, and with `center` another one that
    all output channels share, with a float 1x1 convolution and an addition:

        y_o = alpha_a alpha_o (s * u_o) + alpha_a beta_o (s * 1)
              + c (alpha_o sum u_o + beta_o k k Cin)

    Args:
        filters: output channels.
        kernel_size: 1, 2 or 3, square.
        center: False for `beta_o = 0` in `what_o`, which saves the second convolution.
        activation_set: "paper" or "code": the two differ in c.
        codewords: n; None for plain 1-bit kernels.
        kernel_quantizer: a name or class, or without `codewords` a quantizer with
            `standardize=True`, which is what takes `W_o` to `(W_o - beta_o) / alpha_o`. If
            None, `OneBit` or, with `codewords`, `SparseKernel`, with EDE.
        input_quantizer: `s`, a sign.
        padding: "same", which pads with the upper element of the set, or "valid".
        **kwargs: as of `lq.layers.QuantConv2D`; no groups.

    Raises:
        ValueError: for another set, padding or quantizer; see also `SparseBinaryConv2D`.

    Example:
        >>> layer = AdaBinConv2D(64, 3, use_bias=False)
        >>> layer(tf.zeros([1, 8, 8, 32])).shape
        TensorShape([1, 8, 8, 64])

    Reference: Tu et al., "AdaBin: Improving Binary Neural Networks with Adaptive Binary Sets",
    ECCV 2022, arXiv:2208.08084, and its public code, from which the equations are; the paper's
    activation set is from memory of it. Deviates: pads with the upper element instead of 0,
    without which nothing folds; `alpha_a` stays at or above 0.001 and counts by its magnitude,
    which makes no difference but at ties; the argument of the sign is divided by the deviation
    with count - 1, as `standardize` does; variances have 1e-8 added.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int] = 3,
        *,
        center: bool = True,
        activation_set: str = "paper",
        codewords: int | None = None,
        kernel_quantizer: lq.quantizers.Quantizer | str | type | None = None,
        input_quantizer: lq.quantizers.Quantizer | str = "approx_sign",
        padding: str = "same",
        pad_values: float = 1.0,
        **kwargs: object,
    ) -> None:
        if kernel_quantizer is None and codewords is None:
            size = kernel_size if isinstance(kernel_size, int) else kernel_size[0]
            kernel_quantizer = OneBit(
                codebook.codebook_size(size), standardize=True, gradient="ede"
            )
        elif kernel_quantizer is None or isinstance(kernel_quantizer, str | type):
            kernel_quantizer = make_quantizer(
                kernel_quantizer or "sparse_kernel", codewords, standardize=True, gradient="ede"
            )
            codewords = None
        options: dict[str, Any] = {
            **kwargs,
            "codewords": codewords,
            "kernel_quantizer": kernel_quantizer,
            "input_quantizer": input_quantizer,
            "padding": padding,
            "pad_values": pad_values,
        }
        super().__init__(filters, kernel_size, **options)
        self.center = center
        self.activation_set = activation_set
        self._check()

    def _check(self) -> None:
        quantizer = self.kernel_quantizer
        at = f"(layer {self.name})"
        if not isinstance(quantizer, SubsetKernel) or not quantizer.standardize:
            raise ValueError(
                "Expected a kernel quantizer of this package with standardize=True, got "
                f'{type(quantizer).__name__} {at}. Use kernel_quantizer="one_bit".'
            )
        if self.input_quantizer is None:
            raise ValueError(
                f"Expected a sign as the `input_quantizer`, got None {at}. Use approx_sign."
            )
        if self.activation_set not in ACTIVATION_SETS:
            raise ValueError(
                f"Expected `activation_set` to be one of {', '.join(ACTIVATION_SETS)}, got "
                f"{self.activation_set!r:.60} {at}."
            )
        if self.padding == "same" and self.pad_values != 1.0:
            raise ValueError(
                f"Expected pad_values=1.0, the upper element of the set, got "
                f"{self.pad_values} {at}."
            )
        if self.groups != 1:
            raise ValueError(f"Expected one group, got {self.groups} {at}.")

    def build(self, input_shape: tf.TensorShape) -> None:
        super().build(input_shape)
        self.alpha_a = self.add_weight(
            name="alpha_a",
            shape=(),
            initializer="ones",
            constraint=lambda value: tf.maximum(value, _MIN_SCALE),
        )
        self.beta_a = self.add_weight(name="beta_a", shape=(), initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        scale, threshold, centre = self._activation_set()
        signs = self.input_quantizer((inputs - threshold) / scale)
        if self.padding == "same":
            signs = tf.pad(signs, self._get_padding_same(signs), constant_values=1.0)
        outputs = tf.nn.convolution(
            scale * signs + centre,
            tf.cast(self.two_valued_kernel(), inputs.dtype),
            strides=self.strides,
            padding="VALID",
            dilations=self.dilation_rate,
        )
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def _activation_set(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """`(|alpha_a|, beta_a, c)`."""
        scale, beta = tf.abs(self.alpha_a), tf.convert_to_tensor(self.beta_a)
        return scale, beta, beta if self.activation_set == "paper" else scale * beta

    def _weight_set(self) -> tuple[tf.Tensor, tf.Tensor]:
        """`(alpha, beta)`, `[Cout]` each; beta is 0 without `center`."""
        latent = self._latent()
        mean = tf.reduce_mean(latent, axis=[0, 1, 2])
        variance = tf.reduce_mean(tf.square(latent - mean), axis=[0, 1, 2])
        return tf.sqrt(variance + _TINY), mean if self.center else tf.zeros_like(mean)

    def two_valued_kernel(self) -> tf.Tensor:
        """`what`; the latent kernel itself in the stage "float".

        Shape:
            -> float32 `[k, k, Cin, Cout]`.
        """
        with lq.context.quantized_scope(True):
            binary = tf.cast(self.kernel, tf.float32)
        alpha, beta = self._weight_set()
        binarises = self.kernel_quantizer.binarises()
        return tf.where(binarises, alpha * binary + beta, self._latent())

    def folded(self, configured: Callable[[Any], Any]) -> keras.Sequential:
        signs = configured(lq.quantizers.serialize(self.input_quantizer))

        def conv(filters: int, name: str, bias: bool) -> tf.Tensor:
            return self._file_conv(filters, name, lq.quantizers.get(signs), bias)(inputs)

        inputs = keras.layers.Input(self._one_input_shape())
        outputs = conv(self.filters, self.name, not self.center)
        if self.center:
            # The bias goes where a float convolution is anyway. And an outer product is a
            # convolution: LCE fuses a MUL that makes more channels into the binary one.
            offset = keras.layers.Conv2D(self.filters, 1, name=f"{self.name}_offset")
            total = offset(conv(1, f"{self.name}_sum", False))
            outputs = keras.layers.Add(name=f"{self.name}_total")([outputs, total])
        threshold = LearnableShift(name=f"{self.name}_threshold")
        return self._folded_into(threshold, inputs, outputs)

    @property
    def extra_parameters(self) -> int:
        *window, filters = self.kernel.shape
        threshold, own = window[2], 2 + filters * self.use_bias
        more = filters + math.prod(window) if self.center else 0
        return int(threshold + filters - own + more)

    def fold_into(
        self, copy: keras.Sequential, planes: Sequence[npt.NDArray[np.float32]]
    ) -> None:
        (binary,) = planes
        scale, threshold, centre = (np.float32(value) for value in self._activation_set())
        alpha, beta = (value.numpy() for value in self._weight_set())
        threshold_layer, parts = copy.layers
        threshold_layer.set_weights([np.full(binary.shape[2], -threshold, np.float32)])
        taps = np.prod(binary.shape[:3])
        bias = centre * (alpha * binary.sum(axis=(0, 1, 2)) + beta * taps)
        bias = bias + self.bias.numpy() if self.use_bias else bias
        kernel = scale * alpha * binary
        if not self.center:
            parts.get_layer(self.name).set_weights([kernel, bias])
            return
        parts.get_layer(self.name).set_weights([kernel])
        parts.get_layer(f"{self.name}_sum").set_weights([np.ones((*binary.shape[:3], 1))])
        offset = (scale * beta).reshape(1, 1, 1, -1)
        parts.get_layer(f"{self.name}_offset").set_weights([offset, bias])

    def file_selection(self, part: str) -> npt.NDArray[np.int64] | None:
        return np.asarray(self.kernel_quantizer.selection) if part == self.name else None

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "center": self.center,
            "activation_set": self.activation_set,
        }
