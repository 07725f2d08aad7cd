"""Where LCE's fast convolution kernel cannot be used, or must not be.

Zero padding: bits have no zero, so LCE pads with +1 and then corrects the sums at the border.
Its fast kernels do so wrongly where the map is smaller than the filter's extent,
`(k - 1) * dilation + 1`, in height or width (larq-compute-engine 0.16, compared with its
reference kernel for filters of 2x2 to 7x7, dilations 1 to 3, strides 1 to 3). The delegate's
kernels are right there, and so is LCE's reference kernel.

Groups: LCE's fast kernels refuse them.
"""

from __future__ import annotations

from keras_sparsebnn.converters.filters.packed import PackedFilter, packed_filters
from keras_sparsebnn.tflite_file import Model

__all__ = ["filter_extent", "needs_reference_kernel", "pads_small_map_with_zeros"]

_SAME = 0  # TFLite's Padding


def filter_extent(packed: PackedFilter) -> tuple[int, int]:
    """Height and width of the part of the map that one output sees, holes included."""
    height, width = (
        (size - 1) * int(packed.operator.options.get(f"dilation_{side}_factor", 1)) + 1
        for size, side in zip(packed.words.shape[1:3], ("height", "width"), strict=True)
    )
    return height, width


def pads_small_map_with_zeros(packed: PackedFilter) -> bool:
    """Whether LCE's fast kernels compute wrong values for the layer."""
    options = packed.operator.options
    if options.get("padding") != _SAME or options.get("pad_values", 0) != 0:
        return False
    sizes = packed.input.shape[1:3]
    return any(size < extent for size, extent in zip(sizes, filter_extent(packed), strict=True))


def needs_reference_kernel(model: Model) -> bool:
    """Whether a file has to run with LCE's reference kernel to be right, or to run at all."""
    return any(
        packed.groups > 1 or pads_small_map_with_zeros(packed)
        for packed in packed_filters(model)
    )
