"""The convolution whose kernels are codewords."""

from __future__ import annotations

from typing import Any

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.quantizers import (
    SparseKernel,
    SubsetKernel,
    make_quantizer,
    sparse_quantizer,
    validate_codewords,
)

__all__ = ["SparseBinaryConv2D"]


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class SparseBinaryConv2D(lq.layers.QuantConv2D):  # type: ignore[misc]
    r"""`lq.layers.QuantConv2D` whose kernels come from n learned codewords.

    Equals `QuantConv2D(..., kernel_quantizer=SparseKernel(codewords),
    kernel_constraint="weight_clip")`; everything else is as in the parent.

    Args:
        filters: output channels.
        kernel_size: 1, 2 or 3, square.
        codewords: n, a power of two in [2, 512]; 32 if None.
        kernel_quantizer: what chooses the codewords: a name ("frequent") or a class of a
            quantizer, or, without `codewords`, a quantizer with more options than n.
            `SparseKernel` if None.
        kernel_constraint: "weight_clip" keeps latent weights where gradients pass and large
            ones from dominating the choice of codeword.

    Raises:
        ValueError: for an impossible `codewords` or `kernel_size`, or `codewords` for a
            quantizer that has none.

    Example:
        >>> layer = SparseBinaryConv2D(
        ...     64, 3, codewords=32, padding="same", pad_values=1.0,
        ...     input_quantizer="approx_sign", use_bias=False)
        >>> layer.kernel_quantizer.codewords
        32
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int] = 3,
        *,
        codewords: int | None = None,
        kernel_quantizer: lq.quantizers.Quantizer | str | type | None = None,
        kernel_constraint: keras.constraints.Constraint | str | None = "weight_clip",
        **kwargs: Any,
    ) -> None:
        where = f"layer {kwargs['name']}" if kwargs.get("name") else ""
        if kernel_quantizer is None:
            kernel_quantizer = SparseKernel(
                validate_codewords(32 if codewords is None else codewords, where=where)
            )
        elif isinstance(kernel_quantizer, str | type):
            n = None if codewords is None else validate_codewords(codewords, where=where)
            name, kernel_quantizer = kernel_quantizer, make_quantizer(kernel_quantizer, n)
            if n is not None and not isinstance(kernel_quantizer, SubsetKernel):
                raise ValueError(
                    f"Expected a kernel quantizer with codewords for codewords={n}, got "
                    f"{name!r:.60}. Leave `codewords` out, or use one of this package's."
                )
        elif codewords is not None:
            raise ValueError(
                "Expected `codewords` or `kernel_quantizer`, got both. "
                "Use SparseKernel(codewords, ...) as the kernel_quantizer."
            )
        super().__init__(
            filters,
            kernel_size,
            kernel_quantizer=kernel_quantizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )
        height, width = self.kernel_size
        quantizer = sparse_quantizer(self)
        if height != width:
            raise ValueError(
                f"Expected a square kernel, got {height}x{width} (layer {self.name})."
            )
        if quantizer is not None:
            validate_codewords(quantizer.codewords, height, f"layer {self.name}")

    def build(self, input_shape: tf.TensorShape) -> None:
        quantizer = sparse_quantizer(self)
        if quantizer is not None:
            quantizer.claim(self)
        super().build(input_shape)
        if quantizer is not None and not quantizer.built:
            with keras.backend.name_scope(quantizer.name):
                quantizer.build(self.kernel.shape)
