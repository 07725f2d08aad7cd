"""Learned kernel selection as a larq kernel quantizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn._rules import check, integer
from keras_sparsebnn.quantizers.free_logits import FreeLogits
from keras_sparsebnn.quantizers.learned_subset import LearnedSubset
from keras_sparsebnn.quantizers.methods import check_argument, check_logits
from keras_sparsebnn.quantizers.register import register_quantizer
from keras_sparsebnn.quantizers.selection_logits import Ids, SelectionLogits
from keras_sparsebnn.quantizers.structured_logits import StructuredLogits
from keras_sparsebnn.selection.facility_location import greedy_facility_location

__all__ = ["SparseKernel"]


@register_quantizer("sparse_kernel")
class SparseKernel(LearnedSubset):
    r"""Restricts kernels to n codewords and learns which.

    Forward:   `U = B P V`, `what_c = argmin_{u in U} ||u - w_c||^2`.
    Backward:  the permutation straight-through estimator (PSTE): `g(U)` is the sum over the
               kernels that use a codeword, `g(P) = B^T g(U) V^T`, and on to the logits `X`.

    With `logits="structured"` every slot j has a position `p_j` among the codewords:

        X_ij = <b_i, p_j>,   P = argmax_P Tr(P^T X)

    see `estimators.structured_logits`. With `logits="free"`, the paper's, `X` is a variable:

        P = Hungarian(S^k((X + noise_scale eps) / tau))

    see `estimators.permutation_ste`. The selection is matched anew right after an optimizer
    update of `p` or `X`, see `LearnedSubset`. Evaluation, export and `selection` use no noise.

    Args:
        codewords: n, a power of two; 2..512 for 3x3, 2..16 for 2x2, 2 for 1x1 kernels.
        logits: "structured" or "free".
        initial_selection: "random" starts from any codewords, "covering" from some that lie
            close to every kernel (`codebook.covering`), "facility_location" from those close to
            the latent kernels on entering the stage "codewords" (see `FacilityLocation`). None:
            "facility_location" where there is such a stage, else "random".
        refresh_interval: updates between two matchings, 1 = each; 0 freezes the selection.
            None: 4 with structured logits, 1 with free ones.
        travel: how far an entry of `p` moves in all, >= 0; an exchange of neighbouring
            codewords takes 1. None: 16, and 5 from facility location, which starts near.
        freeze_step: the optimizer update with which `p` stops, after slowing down in a
            straight line. It should lie well before the end, as kernels need time to settle on
            codewords that stay: `training.SelectionSchedule(freeze_after=0.5)` and `sparsebnn
            train` set it to a share of the training.
        margin: added to the logits of the codewords in place, >= 0.
        formulation: of free logits: "partial" models only the n columns that matter (`X` is
            `[N, n]`); "full" is the paper's (`X` is `[N, N]`), and slower.
        temperature: of free logits: tau > 0, in units of the logits.
        noise_scale: of free logits: factor of the Gumbel noise, >= 0, keyed by (seed, step).
            Unit noise makes the selection random unless `logit_scale` is far larger.
        sinkhorn_iterations: of free logits: k >= 1.
        logit_scale: of free logits: standard deviation of the initial `X`, > 0. Adam moves a
            logit by about the learning rate per update, so this sets how much evidence a swap
            takes.
        matcher: of free logits: "graph" needs no Python callback and works on every device and
            in every export; "scipy" is the reference, CPU only.
        **kwargs: `clip_value`, `magnitude_scale`, `seed` and the other options of
            `SubsetKernel`; the seed also keys the noise.

    `refresh_interval`, and `travel` and `freeze_step` or `temperature` and `noise_scale`, are
    variables once built: `training.SelectionSchedule` sets them, checkpoints keep them.

    Shape:
        `[k, k, Cin, Cout]` -> the same.

    Raises:
        ValueError: for an option out of range, one of the other form of logits, or an
            unsupported kernel shape.

    Example:
        >>> import larq as lq
        >>> layer = lq.layers.QuantConv2D(
        ...     64, 3, kernel_quantizer=SparseKernel(32), kernel_constraint="weight_clip")

    Reference: Wang et al., "Compacting Binary Neural Networks by Sparse Kernel Selection",
    CVPR 2023, arXiv:2303.14470, section 3. Deviates: structured logits are our own; the
    defaults, see docs/selection.md for how they came about; `SparseKernel.paper()` has the
    paper's.
    """

    def __init__(
        self,
        codewords: int = 32,
        *,
        logits: str = "structured",
        initial_selection: str | None = None,
        refresh_interval: int | None = None,
        travel: float | None = None,
        freeze_step: int = 500,
        margin: float = 0.1,
        formulation: str = "partial",
        temperature: float = 5.0,
        noise_scale: float = 0.0,
        sinkhorn_iterations: int = 10,
        logit_scale: float = 5.0,
        matcher: str = "graph",
        **kwargs: Any,
    ) -> None:
        super().__init__(codewords, **kwargs)
        self._options: dict[str, Any] = {
            "logits": logits,
            "initial_selection": initial_selection,
            "refresh_interval": refresh_interval,
            "travel": travel,
            "freeze_step": freeze_step,
            "margin": margin,
            "formulation": formulation,
            "temperature": temperature,
            "noise_scale": noise_scale,
            "sinkhorn_iterations": sinkhorn_iterations,
            "logit_scale": logit_scale,
            "matcher": matcher,
        }
        for name, value in self._options.items():
            if name == "freeze_step":
                check(name, value, integer(0, 10**12))
            else:
                check_argument(name, value)
        check_logits(self._options)
        if initial_selection == "facility_location" and not self.has_stages:
            raise ValueError(
                'Expected `starts_as` "sign" or "float" with initial_selection='
                '"facility_location", got "codewords": there are no trained kernels at the '
                'start. Use "covering".'
            )
        if initial_selection is None:
            initial_selection = "facility_location" if self.has_stages else "random"
        self.initial_selection = initial_selection
        structured = logits == "structured"
        if refresh_interval is None:
            refresh_interval = 4 if structured else 1
        if travel is None:
            travel = 5.0 if initial_selection == "facility_location" else 16.0
        self._form: SelectionLogits = (
            StructuredLogits(
                self, refresh_interval, travel=travel, freeze_step=freeze_step, margin=margin
            )
            if structured
            else FreeLogits(
                self,
                refresh_interval,
                formulation=formulation,
                temperature=temperature,
                noise_scale=noise_scale,
                sinkhorn_iterations=sinkhorn_iterations,
                logit_scale=logit_scale,
                matcher=matcher,
            )
        )

    @classmethod
    def paper(cls, codewords: int = 32, **kwargs: Any) -> SparseKernel:
        """The paper's setting: full formulation, k = 10, tau = 0.01, unit Gumbel noise.

        k and tau are quoted from memory of the paper and could not be checked against it.
        """
        setting = {
            "logits": "free",
            "initial_selection": "random",
            "formulation": "full",
            "temperature": 0.01,
            "noise_scale": 1.0,
            "sinkhorn_iterations": 10,
            "logit_scale": 1.0,
        }
        return cls(codewords, **{**setting, **kwargs})

    def build(self, input_shape: tf.TensorShape) -> None:
        super().build(input_shape)
        if not self.covers_codebook:
            self._form.build(self._initial_rows())

    def _initial_rows(self) -> Ids | None:
        """The codewords that the n slots should start with, if any."""
        if self.initial_selection != "covering":
            return None
        # 64 coverings are variety enough, and stay cached.
        return codebook.covering(self.codewords, self.kernel_size, seed=self.seed % 64)

    def _initial_selection(self) -> Ids:
        if self.covers_codebook:
            return super()._initial_selection()
        return self._form.initial_selection(self._initial_rows())

    def _choose(self, kernels: npt.NDArray[np.float32]) -> None:
        if self.initial_selection == "facility_location":
            table = codebook.codewords(self.kernel_size)
            self._form.start_from(greedy_facility_location(kernels, self.codewords, table))
        self._form.begin()

    def _after_update(self, value: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return self._form.after_update(value, step)

    def _codewords(self, training: bool | tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        if training is None:
            training = keras.backend.learning_phase()
        if not tf.is_tensor(training) and not training:
            return super()._codewords(training)
        u, ids = self._form.codewords(training)
        return self._noting_gradients(u), ids

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SparseKernel:
        # Before structured logits there were free ones only, from random codewords.
        return cls(**{"logits": "free", "initial_selection": "random", **config})
