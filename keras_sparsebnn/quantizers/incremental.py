"""Chosen codewords that kernels take over one after the other, the nearest first."""

from __future__ import annotations

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.quantizers.facility_location import FacilityLocation
from keras_sparsebnn.quantizers.register import register_quantizer
from keras_sparsebnn.quantizers.subset_kernel import sign

__all__ = ["ALL_KERNELS", "Incremental"]

ALL_KERNELS = 3.0
"""A tolerance that no kernel misses: the largest relative distance is 2, plus rounding."""


@register_quantizer("incremental")
class Incremental(FacilityLocation):
    r"""`FacilityLocation` whose kernels become codewords gradually. Our own method.

    Choosing codewords all at once moves most kernels at once, and the network has to recover.
    Here a kernel is its codeword only where that is near, and its sign where not:

    Forward:   `what_c = u_c if d_c <= tolerance else sign(w_c)`, with `u_c` the nearest
               codeword and `d_c = 1 - <u_c, w_c> / ||w_c||_1`, in [0, 2].
    Backward:  as in `SubsetKernel`, in both cases.

    `d_c` is the share of the kernel's magnitude, times 2, that has the wrong sign. `tolerance`
    is a variable: 0 when the codewords are chosen (no kernel changes), raised by training until
    all kernels are codewords: `training.SelectionSchedule(tolerance=incremental(0.2, 0.6))`.
    `sparsebnn train` does so from `choose_after` to `settle_after`. Until then the network
    cannot be frozen or converted.

    Arguments, shape and errors as in `ChosenKernel`.

    Example:
        >>> Incremental(16).starts_as
        'sign'

    Reference: none; after the idea of Zhou et al., "Incremental Network Quantization", ICLR
    2017, arXiv:1702.03044, to quantise weights in portions while the others make up for it.
    Deviates from it: portions by distance instead of magnitude, and kernels stay trainable.
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        super().build(input_shape)
        if not self.covers_codebook:
            self.tolerance = self._add_state("tolerance", 0.0, tf.float32)

    @property
    def is_restricted(self) -> bool:
        """Whether all kernels are codewords."""
        restricted = super().is_restricted
        if self.covers_codebook:
            return restricted
        return restricted and float(keras.backend.get_value(self.tolerance)) >= 2

    def _nearest(self, latent: tf.Tensor, training: bool | tf.Tensor | None) -> tf.Tensor:
        nearest = super()._nearest(latent, training)
        magnitude = tf.reduce_sum(tf.abs(latent), axis=[0, 1])
        missed = magnitude - tf.reduce_sum(nearest * latent, axis=[0, 1])
        near = tf.stop_gradient(missed) <= tf.stop_gradient(self.tolerance * magnitude)
        return tf.where(near, nearest, sign(latent))
