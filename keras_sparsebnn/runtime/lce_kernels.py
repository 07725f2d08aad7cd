"""Where LCE's fast convolution kernel cannot be used, or must not be.

Zero padding: bits have no zero, so LCE pads with +1 and then corrects the sums at the border.
Its fast kernels do so wrongly where the map is smaller than the filter's extent,
`(k - 1) * dilation + 1`, in height or width (larq-compute-engine 0.16, compared with its
reference kernel for filters of 2x2 to 7x7, dilations 1 to 3, strides 1 to 3). The delegate's
kernels are right there, and so is LCE's reference kernel.

Groups: LCE's fast kernels refuse them.
"""

from __future__ import annotations

from keras_sparsebnn.tflite_file import Model, Operator, Tensor

__all__ = [
    "filter_extent",
    "needs_reference_kernel",
    "pads_small_map_with_zeros",
    "pads_with_zeros",
]

_SAME = 0  # TFLite's Padding


def filter_extent(operator: Operator, filter: Tensor) -> tuple[int, int]:
    """Height and width of the part of the map that one output sees, holes included."""
    height, width = (
        (size - 1) * int(operator.options.get(f"dilation_{side}_factor", 1)) + 1
        for size, side in zip(filter.shape[1:3], ("height", "width"), strict=True)
    )
    return height, width


def pads_with_zeros(operator: Operator) -> bool:
    """Whether an `LceBconv2d` pads, with zeros."""
    options = operator.options
    return options.get("padding") == _SAME and options.get("pad_values", 0) == 0


def pads_small_map_with_zeros(operator: Operator, input: Tensor, filter: Tensor) -> bool:
    """Whether LCE's fast kernels compute wrong values for an `LceBconv2d`."""
    if not pads_with_zeros(operator):
        return False
    extent = filter_extent(operator, filter)
    return any(size < span for size, span in zip(input.shape[1:3], extent, strict=True))


def needs_reference_kernel(model: Model) -> bool:
    """Whether a file has to run with LCE's reference kernel to be right, or to run at all.

    Args:
        model: one that `check_lce_operators` accepts.
    """
    for graph in model.subgraphs:
        for operator in graph.operators:
            if operator.name == "LceBconv2d":
                input, filter = (graph.tensors[index] for index in operator.inputs[:2])
                groups = int(operator.options["channels_in"]) // (32 * filter.shape[3])
                if groups > 1 or pads_small_map_with_zeros(operator, input, filter):
                    return True
    return False
