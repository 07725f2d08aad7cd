r"""Multi-bit convolutions by {-1, +1} decomposition: M times K binary ones in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn._rules import BITS, VALUE_RANGE, check
from keras_sparsebnn.layers.folded_conv2d import FoldedConv2D
from keras_sparsebnn.quantizers import RBONN, OddIntegers, OneBit, SubsetKernel

__all__ = ["MultiBitConv2D", "NextPlane"]


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class NextPlane(keras.layers.Layer):  # type: ignore[misc]
    r"""What is left of values after their sign: what the next lower bit is the sign of.

    Forward:   `y = x - step sign(x)`, `sign(0) = +1`.
    Backward:  `g(x) = g(y)`. Of frozen models only.

    Args:
        step: the weight of the sign.

    Shape:
        any -> the same.

    Example:
        >>> NextPlane(0.5)(tf.constant([-1.0, 0.25])).numpy().tolist()
        [-0.5, -0.25]

    Reference: as `MultiBitConv2D`.
    """

    def __init__(self, step: float, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.step = float(step)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs - self.step * lq.math.sign(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "step": self.step}


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class MultiBitConv2D(FoldedConv2D):
    r"""A convolution of M-bit inputs with K-bit kernels, made of binary convolutions.

    Forward, with `N_b = 2^b - 1`:

        xhat = OddIntegers(M, value_range=activation_range)(x)
        what = 1/N_K sum_k 2^k u_k
        y    = xhat * what

    and for the planes `u_k` of the kernels, `r = w` and for `k = K - 1, ..., 0`

        u_k = q(r),   r = r - s_o 2^k / N_K u_k,   s_o = 2 mean |W_o|

    `q` is the kernel quantizer: signs make `N_K what` the odd integer next to `N_K w / s_o`,
    clipped to [-N_K, N_K]; with codewords, the kernels of each plane are of the n selected
    ones, those next to the `r` of that plane. `s_o` fits the values to the output channel's
    weights, which are far smaller than 1 at the start; its gradient is stopped.

    Backward:  ordinary differentiation with `g(r) = g(u_k) h(r)`, `h` the quantizer's gradient:
               `g(w) = g(what) sum_k 2^k / N_K h(r_k)`, which is `g(what) 1[|w| <= 1]` by
               default where no `r` is beyond 1. `g(x)` as of `OddIntegers`.

    In a file a layer is, exactly, M K binary convolutions of K stored filters, with scales
    that fold into them, and additions. From the signs `v_m` of `OddIntegers`:

        y = 1/(N_M N_K) sum_mk 2^(m + k) (v_m * u_k)                             "symmetric"
        y = 1/(2 N_M N_K) sum_mk 2^(m + k) (v_m * (-u_k) + sum u_k)              "unit"

    the latter with the signs of `1 - 2 x`. So padding with +1, which folds, is the value 1 in
    "symmetric", and exactly 0 in "unit".

    With one bit each, "symmetric", this is `SparseBinaryConv2D`.

    Args:
        filters: output channels.
        kernel_size: 1, 2 or 3, square.
        activation_bits: M, 1 to 8; M K times the operations of one bit.
        weight_bits: K, 1 to 8; K bits a weight, with codewords `K log2(n) / k^2`.
        activation_range: "symmetric", values in [-1, 1], or "unit", in [0, 1].
        codewords: n, of every plane; None for all.
        kernel_quantizer: `q`: a name, a class or, without `codewords`, a quantizer; `OneBit`
            if both are None. All planes share it and its selection.
        input_quantizer: `OddIntegers` if None. With one bit and "symmetric" any sign.
        padding: "same" or "valid".
        pad_values: what `activation_range` says if None; there is no other.
        **kwargs: as of `lq.layers.QuantConv2D`.

    Raises:
        ValueError: for other bits, padding or range; a kernel quantizer that is not one of this
            package's, or, with more than one bit, scales kernels; see also
            `SparseBinaryConv2D`.

    Example:
        >>> layer = MultiBitConv2D(64, 3, activation_bits=2, weight_bits=1, padding="same")
        >>> layer(tf.zeros([1, 8, 8, 32])).shape
        TensorShape([1, 8, 8, 64])

    Reference: Sun et al., "Multi-Precision Quantized Neural Networks via Encoding Decomposition
    of -1 and +1", AAAI 2019, arXiv:1905.13389, and its extension, arXiv:2106.09886. Deviates:
    signs by successive approximation, see `OddIntegers`; `s_o`, which is ours, as are the
    codewords; the form with exact zero padding is ours, too.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int] = 3,
        *,
        activation_bits: int = 2,
        weight_bits: int = 2,
        activation_range: str = "symmetric",
        codewords: int | None = None,
        kernel_quantizer: lq.quantizers.Quantizer | str | type | None = None,
        input_quantizer: lq.quantizers.Quantizer | str | None = None,
        padding: str = "same",
        pad_values: float | None = None,
        **kwargs: object,
    ) -> None:
        check("activation_bits", activation_bits, BITS)
        check("weight_bits", weight_bits, BITS)
        check("activation_range", activation_range, VALUE_RANGE)
        if kernel_quantizer is None and codewords is None:
            size = kernel_size if isinstance(kernel_size, int) else kernel_size[0]
            kernel_quantizer = OneBit(codebook.codebook_size(size))
        if input_quantizer is None:
            input_quantizer = OddIntegers(activation_bits, value_range=activation_range)
        outside = 1.0 if activation_range == "symmetric" else 0.0
        options: dict[str, Any] = {
            **kwargs,
            "codewords": codewords,
            "kernel_quantizer": kernel_quantizer,
            "input_quantizer": input_quantizer,
            "padding": padding,
            "pad_values": outside if pad_values is None else pad_values,
        }
        super().__init__(filters, kernel_size, **options)
        self.activation_bits = activation_bits
        self.weight_bits = weight_bits
        self.activation_range = activation_range
        self._check(outside)

    def _check(self, outside: float) -> None:
        at = f"(layer {self.name})"
        quantizer = self.kernel_quantizer
        if not isinstance(quantizer, SubsetKernel):
            raise ValueError(
                "Expected a kernel quantizer of this package, got "
                f'{type(quantizer).__name__} {at}. Use kernel_quantizer="one_bit".'
            )
        scales = quantizer.standardize or quantizer.magnitude_scale
        if self.weight_bits > 1 and (scales or isinstance(quantizer, RBONN)):
            raise ValueError(
                "Expected a kernel quantizer without scales for more than one weight bit, got "
                f"{type(quantizer).__name__} with standardize={quantizer.standardize}, "
                f"magnitude_scale={quantizer.magnitude_scale} {at}. Use one_bit without either."
            )
        given, wanted = self.input_quantizer, (self.activation_bits, self.activation_range)
        known = isinstance(given, OddIntegers)
        found = (given.bits, given.value_range) if known else (1, "symmetric")
        if found != wanted:
            raise ValueError(
                f"Expected an input quantizer of {wanted[0]} bits, {wanted[1]}, got "
                f"{type(given).__name__} {at}. Leave it out."
            )
        if self.padding == "same" and self.pad_values != outside:
            raise ValueError(
                f"Expected pad_values={outside} for values that are {self.activation_range}, "
                f"got {self.pad_values} {at}."
            )

    @property
    def _levels(self) -> tuple[int, int]:
        """`N_M`, `N_K`."""
        return 2**self.activation_bits - 1, 2**self.weight_bits - 1

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        of_inputs, of_kernels = self._levels
        quantizer = self.input_quantizer
        integers = (
            quantizer.integers(inputs)
            if isinstance(quantizer, OddIntegers)
            else quantizer(inputs)
        )
        if self.padding == "same":
            outside = of_inputs * self.pad_values
            integers = tf.pad(
                integers, self._get_padding_same(integers), constant_values=outside
            )
        # Integers, and one scale at the end: exact, also where thirds are not.
        outputs = tf.nn.convolution(
            integers,
            tf.cast(self.integer_kernel(), inputs.dtype),
            strides=self.strides,
            padding="VALID",
            dilations=self.dilation_rate,
        )
        if of_inputs * of_kernels > 1:
            outputs = outputs * (1 / (of_inputs * of_kernels))
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def binary_planes(self, training: bool | tf.Tensor | None = None) -> list[tf.Tensor]:
        """`u_{K-1}`, ..., `u_0`.

        Shape:
            -> K of float32 `[k, k, Cin / groups, Cout]`.
        """
        left = self._latent()
        spread = tf.stop_gradient(2 * tf.reduce_mean(tf.abs(left), axis=[0, 1, 2]))
        planes = []
        for k in reversed(range(self.weight_bits)):
            planes.append(self.kernel_quantizer(left, training=training))
            left = left - tf.stop_gradient(2**k / self._levels[1] * spread * planes[-1])
        return planes

    def integer_kernel(self) -> tf.Tensor:
        """`N_K what`; `N_K` times the latent kernel in the stage "float".

        Shape:
            -> float32 `[k, k, Cin / groups, Cout]`.
        """
        planes = self.binary_planes()
        kernel = planes[-1]
        for k, plane in enumerate(planes[-2::-1], 1):
            kernel = kernel + 2.0**k * plane
        if not self.kernel_quantizer.has_stages:
            return kernel
        latent = self._levels[1] * self._latent()
        return tf.where(self.kernel_quantizer.binarises(), kernel, latent)

    def folded(self, configured: Callable[[Any], Any]) -> keras.Sequential:
        of_inputs, of_kernels = self._levels
        unit = self.activation_range == "unit"
        inputs = left = keras.layers.Input(self._one_input_shape())
        signs = []
        for m in reversed(range(self.activation_bits)):
            signs.append((m, left))
            if m:
                step = NextPlane(2**m / of_inputs, name=f"{self.name}_after{m}")
                left = step(left)
        terms = []
        for k in reversed(range(self.weight_bits)):
            # Called once for each sign, so a file holds its filter once.
            conv = self._file_conv(
                self.filters, self._plane_name(k), self._sign(configured), self._has_bias
            )
            for m, x in signs:
                scale = 2 ** (m + k) / (of_inputs * of_kernels * (2 if unit else 1))
                y = conv(x)
                if scale != 1:
                    y = keras.layers.Rescaling(scale, name=f"{self.name}_scale{m}_{k}")(y)
                terms.append(y)
        outputs = terms[0]
        if len(terms) > 1:
            outputs = keras.layers.Add(name=f"{self.name}_total")(terms)
        encoded = f"{self.name}_encoded"
        before = (
            keras.layers.Rescaling(-2.0, 1.0, name=encoded)
            if unit
            else keras.layers.Activation("linear", name=encoded)
        )
        return self._folded_into(before, inputs, outputs)

    def _sign(self, configured: Callable[[Any], Any]) -> lq.quantizers.Quantizer:
        """The file's: a sign that was given, so that one bit stays what it was."""
        if isinstance(self.input_quantizer, OddIntegers):
            return lq.quantizers.SteSign()
        return lq.quantizers.get(configured(lq.quantizers.serialize(self.input_quantizer)))

    def _plane_name(self, k: int) -> str:
        return self.name if self.weight_bits == 1 else f"{self.name}_plane{k}"

    @property
    def _has_bias(self) -> bool:
        """Whether the convolutions of a file have one: the layer's, or `sum u_k`."""
        return self.use_bias or self.activation_range == "unit"

    @property
    def extra_parameters(self) -> int:
        in_file = self.weight_bits * self._has_bias
        return int(self.filters * (in_file - self.use_bias))

    def fold_into(
        self, copy: keras.Sequential, planes: Sequence[npt.NDArray[np.float32]]
    ) -> None:
        parts = copy.layers[-1]
        unit = self.activation_range == "unit"
        own = self.bias.numpy() if self.use_bias else np.zeros(self.filters, np.float32)
        for k, plane in zip(reversed(range(self.weight_bits)), planes, strict=True):
            # The scales of all branches have the sum 1, in "unit" 1/2.
            bias = plane.sum(axis=(0, 1, 2)) + 2 * own if unit else own
            weights = [-plane if unit else plane, *[bias] * self._has_bias]
            parts.get_layer(self._plane_name(k)).set_weights(weights)

    def file_selection(self, part: str) -> npt.NDArray[np.int64]:
        selection = np.asarray(self.kernel_quantizer.selection)
        if self.activation_range == "symmetric":
            return selection
        return np.asarray(codebook.complement(selection, self.kernel_size[0]))  # negated

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activation_bits": self.activation_bits,
            "weight_bits": self.weight_bits,
            "activation_range": self.activation_range,
        }
