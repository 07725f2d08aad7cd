"""Sub-bit Neural Networks: a random subset, refined by gradients of its codewords."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import tf
from keras_sparsebnn.estimators import refined_patterns, refinement_ste
from keras_sparsebnn.quantizers.learned_subset import LearnedSubset
from keras_sparsebnn.quantizers.methods import check_argument
from keras_sparsebnn.quantizers.register import register_quantizer

__all__ = ["SNN"]


@register_quantizer("snn")
class SNN(LearnedSubset):
    r"""n codewords drawn at random, then refined through latent patterns `p`.

    Forward:   `what_c = argmin_{u in U} ||u - w_c||^2`, `u_j = sign(p_j)` with hysteresis.
    Backward:  `g(w_c) = g(what_c) 1[|w_c| <= clip_value]`, and in every 25th step
               `g(p_j) = sum_{c : what_c = u_j} g(what_c)`.

    `U` follows `p` right after an optimizer update, as in `LearnedSubset`. See
    `estimators.pattern_refinement` for the equations.

    Args:
        codewords: n, see `SubsetKernel`.
        refinement_interval: optimizer updates from one gradient of the patterns to the next,
            >= 1; 0 never refines, which leaves `FixedSubset`.
        pattern_scale: magnitude of the initial `p`, in (0, 3]. An optimizer has to carry a
            latent from there through 0 to change its codeword.

    Other arguments and shape as in `SubsetKernel`.

    Raises:
        ValueError: for an option out of range, else as `SubsetKernel`.

    Example:
        >>> SNN(16, seed=1).get_config()["refinement_interval"]
        25

    Reference: Wang et al., "Sub-bit Neural Networks: Learning To Compress and Accelerate
    Binary Neural Networks", ICCV 2021, arXiv:2110.09195, and its public code (there,
    `pattern_scale` is 1). Deviates: the counter counts updates, not forward passes, so
    evaluation does not shift it and replicas agree; duplicates are replaced right after the
    update that made them, in their slot, so U always has n codewords, where the code looks for
    them every 25 forward passes and shifts later patterns under the optimizer's moments; the
    mask of `g(w)`, as everywhere here.
    """

    def __init__(
        self,
        codewords: int = 32,
        *,
        refinement_interval: int = 25,
        pattern_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(codewords, **kwargs)
        check_argument("refinement_interval", refinement_interval)
        check_argument("pattern_scale", pattern_scale)
        self.refinement_interval = int(refinement_interval)
        self.pattern_scale = float(pattern_scale)

    def build(self, input_shape: tf.TensorShape) -> None:
        super().build(input_shape)
        if self.covers_codebook or not self.refinement_interval:
            return
        start = codebook.codewords(self.kernel_size)[self._initial_selection()]
        self.patterns = self._add_trained("patterns", self.pattern_scale * start)
        self.step = self._add_state("step", np.int64(0), tf.int64)

    def _codewords(self, training: bool | tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        u, ids = super()._codewords(training)
        if not self.refinement_interval:
            return u, ids
        # The update that this gradient is for will be number step + 1.
        step = tf.convert_to_tensor(self.step) + 1
        due = tf.cast(tf.equal(step % self.refinement_interval, 0), tf.float32)
        u = refinement_ste(tf.convert_to_tensor(self.patterns), u, due)
        return self._noting_gradients(u), ids

    def _after_update(self, value: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        patterns, ids = refined_patterns(
            value,
            tf.convert_to_tensor(self.selection),
            tf.stack([tf.constant(self.seed, tf.int64), step]),
        )
        self.selection.assign(ids)
        return patterns

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "refinement_interval": self.refinement_interval,
            "pattern_scale": self.pattern_scale,
        }
