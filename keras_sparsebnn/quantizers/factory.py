"""What a `kernel_quantizer=` argument may be, and the quantizer that it makes for one layer."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, TypeAlias

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers.subset_kernel import SubsetKernel

__all__ = ["KernelQuantizer", "make_quantizer"]

Quantizer: TypeAlias = "lq.quantizers.Quantizer | str | None"

KernelQuantizer: TypeAlias = (
    "str | type[lq.quantizers.Quantizer] | Callable[..., Quantizer] | None"
)
"""A name ("ste_sign", "frequent"), a class, a function that makes a quantizer from n, or None
for float kernels. Each layer gets a quantizer of its own."""


def make_quantizer(
    kernel_quantizer: KernelQuantizer, codewords: int | None, **options: Any
) -> lq.quantizers.Quantizer | None:
    """The quantizer of one layer.

    Args:
        kernel_quantizer: see `KernelQuantizer`. Names and classes of larq's own quantizers,
            which have no codewords, are called without arguments.
        codewords: n; the quantizer's own default if None.
        **options: more arguments of a quantizer with codewords.

    Raises:
        SparseBNNError: an unknown name, or an object where each layer needs its own.

    Example:
        >>> make_quantizer("frequent", 16).codewords, make_quantizer("ste_sign", 16).precision
        (16, 1)
    """
    if isinstance(kernel_quantizer, str):
        kernel_quantizer = _class_of(kernel_quantizer)
    if kernel_quantizer is None:
        return None
    if isinstance(kernel_quantizer, keras.layers.Layer):
        raise SparseBNNError(
            "Expected `kernel_quantizer` to be a name, a class or a function that makes one "
            f"quantizer per layer, got the quantizer {kernel_quantizer.name}. "
            f"Use lambda n: {type(kernel_quantizer).__name__}(...)."
        )
    if not callable(kernel_quantizer):
        raise SparseBNNError(
            "Expected `kernel_quantizer` to be a name, a class or a function of n, got "
            f"{kernel_quantizer!r:.60}."
        )
    if isinstance(kernel_quantizer, type) and not issubclass(kernel_quantizer, SubsetKernel):
        return kernel_quantizer()
    n = () if codewords is None else (codewords,)
    made = kernel_quantizer(*n, **options)
    return _class_of(made)() if isinstance(made, str) else made


def _class_of(name: str) -> type[lq.quantizers.Quantizer]:
    known = {
        alias: cls
        for alias, cls in keras.utils.get_custom_objects().items()
        if isinstance(cls, type) and issubclass(cls, lq.quantizers.Quantizer)
    }
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=2)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise SparseBNNError(f"Expected the name of a quantizer, got {name!r:.60}.{hint}")
