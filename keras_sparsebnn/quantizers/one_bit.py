"""Plain 1-bit kernels, through the interface of those with a subset."""

from __future__ import annotations

from typing import Any

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import tf
from keras_sparsebnn.quantizers.register import register_quantizer
from keras_sparsebnn.quantizers.subset_kernel import SubsetKernel

__all__ = ["OneBit"]


@register_quantizer("one_bit")
class OneBit(SubsetKernel):
    r"""All N codewords: nothing is selected, every kernel is its own sign.

    Forward:   `what_c = alpha_o sign(w_c)`, `sign(0) = +1`.
    Backward:  as in `SubsetKernel`.

    What every sub-bit method is compared with. With the default options it equals larq's
    `ste_sign`.

    Args:
        codewords: N, the whole codebook: 512 for 3x3, 16 for 2x2, 2 for 1x1 kernels.

    Other arguments, shape and errors as in `SubsetKernel`.

    Raises:
        ValueError: at build, for an n below N.

    Example:
        >>> OneBit().codewords
        512

    Reference: Courbariaux et al., "Binarized Neural Networks", 2016, arXiv:1602.02830.
    Deviates: nothing.
    """

    def __init__(self, codewords: int = 512, **kwargs: Any) -> None:
        super().__init__(codewords, **kwargs)

    def build(self, input_shape: tf.TensorShape) -> None:
        super().build(input_shape)
        if not self.covers_codebook:
            size = codebook.codebook_size(self.kernel_size)
            raise ValueError(
                f"Expected `codewords` to be {size}, the whole codebook, got {self.codewords} "
                f"(quantizer {self.name}). Use FixedSubset for a part of it."
            )
