"""Mends of larq, in place.

* `larq.models.summary` treats every weight of a layer as part of its kernel, so it would count
  the logits as 32-bit weights and operations, although the deployed network has none of them.
  And it takes weights of several bits, which are signed planes, for one bit.
* `larq.context.quantized_scope` stays as it is when an error leaves it, so that after an error
  in a layer's call, every kernel in the process would be read, trained and saved quantized.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.quantizers.subset_kernel import SubsetKernel

__all__ = ["LayerProfile", "quantized_scope"]


class LayerProfile(lq.models.LayerProfile):  # type: ignore[misc]
    """larq's profile of a layer: no state of its selection, all bits of its weights."""

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__(layer)
        self._count_planes(getattr(layer, "weight_bits", 1))
        quantizers = [part for part in layer.submodules if isinstance(part, SubsetKernel)]
        state = {id(weight) for quantizer in quantizers for weight in quantizer.weights}
        if not state:
            return
        profiles = list(self.weight_profiles)
        deployed = [id(profile._weight) not in state for profile in profiles]
        # One operation for each weight that is not a bias, or none at all.
        counted = [keep for keep, p in zip(deployed, profiles, strict=True) if not p.is_bias()]
        self.op_profiles: list[lq.models.OperationProfile] = list(
            itertools.compress(self.op_profiles, counted)
        )
        self.weight_profiles: list[lq.models.WeightProfile] = list(
            itertools.compress(profiles, deployed)
        )

    def _count_planes(self, bits: int) -> None:
        """Counts the kernels of a `MultiBitConv2D`, which have `bits` signs a weight."""
        kernels = [profile for profile in self.weight_profiles if not profile.is_bias()]
        for kernel, operation in itertools.zip_longest(kernels, self.op_profiles):
            if kernel.bitwidth == 1:
                kernel.bitwidth = bits
                if operation is not None:  # layers of larq's list have them
                    operation.precision = max(operation.precision, bits)


@contextmanager
def quantized_scope(quantize: bool) -> Iterator[bool]:
    """larq's, with the state restored after an error, too."""
    state = lq.context._quantized_scope  # of this thread
    before = lq.context.should_quantize()
    state.should_quantize = quantize
    try:
        yield quantize
    finally:
        state.should_quantize = before


# larq looks both up by their names.
lq.models.LayerProfile = LayerProfile
lq.context.quantized_scope = quantized_scope
