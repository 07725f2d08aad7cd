"""M-bit values as odd integers, and each of these as M signs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn._rules import BITS, VALUE_RANGE, check

__all__ = ["OddIntegers", "sign_planes"]


def sign_planes(x: tf.Tensor, bits: int) -> list[tf.Tensor]:
    """The signs `v_m` of the odd integer next to `(2^M - 1) x`, by successive approximation.

        r = x;   for m = M - 1, ..., 0:   v_m = sign(r),   r = r - 2^m / (2^M - 1) v_m

    Shape:
        any -> M of the same, `v_{M-1}` first.

    Example:
        >>> [plane.numpy().tolist() for plane in sign_planes(tf.constant([-1.0, 0.2]), 2)]
        [[-1.0, 1.0], [-1.0, -1.0]]
    """
    planes = []
    for m in reversed(range(bits)):
        planes.append(lq.math.sign(x))
        x = x - 2**m / (2**bits - 1) * planes[-1]
    return planes


@lq.utils.register_alias("odd_integers")
@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class OddIntegers(lq.quantizers.Quantizer):  # type: ignore[misc]
    r"""Rounds to one of `2^M` equidistant values, each a sum of M signs.

    Forward, with `N = 2^M - 1` and the signs `v_m` of `sign_planes`:

        q(x) = 1/N sum_m 2^m v_m(x)              value_range "symmetric"
        q(x) = (1 - q_symmetric(1 - 2 x)) / 2    "unit"

    The first are the odd integers from -N to N over N, the second 0, ..., N over N. Both are
    the value next to x, and the last one beyond the ends of the range. Half way between two,
    "symmetric" takes the upper and "unit" the lower one.

    Backward:  `g(x) = g(q) 1[|x| <= 1]`, in "unit" `g(q) 1[0 <= x <= 1]`.

    With one bit and "symmetric" this is `ste_sign`.

    Args:
        bits: M, 1 to 8.
        value_range: "symmetric", [-1, 1], or "unit", [0, 1], after a ReLU or in place of it.
        **kwargs: as of a Keras layer.

    Shape:
        any -> the same.

    Raises:
        SparseBNNError: for other bits or another range.

    Example:
        >>> (3 * OddIntegers(2)(tf.constant([-3.0, -0.1, 0.1, 0.7]))).numpy().tolist()
        [-3.0, -1.0, 1.0, 3.0]

    Reference: Sun et al., "Multi-Precision Quantized Neural Networks via Encoding Decomposition
    of -1 and +1", AAAI 2019, arXiv:1905.13389, and its extension, arXiv:2106.09886. Deviates:
    the signs come from successive approximation, where the papers have periodic functions (from
    memory of them); the values are the same.
    """

    def __init__(
        self, bits: int = 2, *, value_range: str = "symmetric", **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        check("bits", bits, BITS)
        check("value_range", value_range, VALUE_RANGE)
        self.bits = self.precision = bits
        self.value_range = value_range

    @property
    def levels(self) -> int:
        """N, steps of "unit" from one end of the range to the other."""
        return int(2**self.bits - 1)

    def integers(self, inputs: tf.Tensor) -> tf.Tensor:
        """`N q(x)`: odd integers, or in "unit" those from 0 to N."""
        unit = self.value_range == "unit"
        lowest, factor = (0.0 if unit else -1.0), float(self.levels)

        @tf.custom_gradient
        def rounded(x: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
            planes = sign_planes(x * -2.0 + 1.0 if unit else x, self.bits)[::-1]
            odd = planes[0]
            for m, plane in enumerate(planes[1:], 1):
                odd = odd + 2.0**m * plane
            inside = (x >= lowest) & (x <= 1.0)

            def grad(upstream: tf.Tensor) -> tf.Tensor:
                return tf.where(inside, factor * upstream, tf.zeros_like(upstream))

            return (factor - odd) / 2.0 if unit else odd, grad

        return tf.cast(rounded(tf.cast(inputs, tf.float32)), inputs.dtype)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        integers = self.integers(inputs)
        return integers if self.levels == 1 else integers / self.levels

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bits": self.bits, "value_range": self.value_range}
