"""Learned kernel selection as a larq kernel quantizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.estimators import select_ste
from keras_sparsebnn.quantizers.learned_subset import LearnedSubset
from keras_sparsebnn.quantizers.methods import check_argument
from keras_sparsebnn.quantizers.register import register_quantizer
from keras_sparsebnn.selection.facility_location import greedy_facility_location
from keras_sparsebnn.selection.matching import gumbel_noise, hungarian, match_from, sinkhorn

__all__ = ["SparseKernel"]


def _plan(
    logits: tf.Tensor,
    noise_scale: tf.Tensor,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    step: tf.Tensor,
    iterations: int,
) -> tf.Tensor:
    """`P_GS = S^k((X + noise_scale eps) / tau)`, `eps` of (seed, step)."""
    codewords, columns = logits.shape
    noise = noise_scale * gumbel_noise(logits.shape, seed, step)
    scaled = (logits + noise) / temperature
    return sinkhorn(scaled, iterations, partial=columns < codewords)


def _matched_plan(prices: tf.Tensor, *args: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """`Hungarian(P_GS)` and its prices, see `_plan` and `match_from`."""
    return match_from(_plan(*args), prices)


def _logits_gradient(upstream: tf.Tensor, logits: tf.Tensor, *args: Any) -> tf.Tensor:
    """`g(X)` from `g(P_GS)`."""
    with tf.GradientTape() as tape:
        tape.watch(logits)
        plan = _plan(logits, *args)
    return tape.gradient(plan, logits, upstream)


# Each is one operation in the training graph, compiled once per shape and not once per layer:
# thousands of small operations per layer would take minutes to trace and longer to run.
_plan_compiled = tf.function(_plan, jit_compile=True)
_matched_plan_compiled = tf.function(_matched_plan, jit_compile=True)
_logits_gradient_compiled = tf.function(_logits_gradient, jit_compile=True)


def _plan_ste(logits: tf.Tensor, *args: Any) -> tf.Tensor:
    """`P_GS` for `select_ste`, which uses its gradient only: the value is all zeros.

    The gradient is one function, not what TensorFlow would make of a compiled forward pass.
    That hands shapes on as outputs of the forward pass, which XLA then takes for constants of
    the whole training step, and so its inputs, the logits and the step count, too: a step that
    is compiled as a whole (`jit_compile=True`, TPUs) would be compiled anew every time.
    """

    @tf.custom_gradient
    def plan(logits: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        return tf.zeros_like(logits), lambda upstream: _logits_gradient_compiled(
            upstream, logits, *args
        )

    return plan(logits)


@register_quantizer("sparse_kernel")
class SparseKernel(LearnedSubset):
    r"""Restricts kernels to n codewords and learns which.

    Forward:   `P_GS = S^k((X + noise_scale eps) / tau)`, `U = B Hungarian(P_GS) V`,
               `what_c = argmin_{u in U} ||u - w_c||^2`.
    Backward:  the permutation straight-through estimator, see `estimators.permutation_ste`.

    The selection is matched anew right after an optimizer update of the logits `X`, see
    `LearnedSubset`, from noise keyed by (seed, step). Evaluation, export and `selection` use
    no noise.

    Args:
        codewords: n, a power of two; 2..512 for 3x3, 2..16 for 2x2, 2 for 1x1 kernels.
        formulation: "partial" models only the n columns that matter (`X` is `[N, n]`);
            "full" is the paper's (`X` is `[N, N]`), and slower.
        temperature: tau > 0, in units of the logits.
        noise_scale: factor of the Gumbel noise, >= 0. Unit noise makes the selection random
            unless `logit_scale` is far larger.
        refresh_interval: updates between two matchings, 1 = each; 0 freezes the selection.
        sinkhorn_iterations: k >= 1.
        logit_scale: standard deviation of the initial `X`, > 0. Adam moves a logit by about
            the learning rate per update, so this sets how much evidence a swap takes.
        initial_selection: "random" starts from any codewords, "covering" from some that lie
            close to every kernel (`codebook.covering`), "facility_location" from those close to
            the latent kernels on entering the stage "codewords" (see `FacilityLocation`).
        matcher: "graph" needs no Python callback and works on every device and in every
            export; "scipy" is the reference, CPU only.
        **kwargs: `clip_value`, `magnitude_scale`, `seed` and the other options of
            `SubsetKernel`; the seed also keys the noise.

    `temperature`, `noise_scale` and `refresh_interval` are variables once built:
    `training.SelectionSchedule` anneals them, checkpoints keep them.

    Shape:
        `[k, k, Cin, Cout]` -> the same.

    Raises:
        ValueError: for an option out of range or an unsupported kernel shape.

    Example:
        >>> import larq as lq
        >>> layer = lq.layers.QuantConv2D(
        ...     64, 3, kernel_quantizer=SparseKernel(32), kernel_constraint="weight_clip")

    Reference: Wang et al., "Compacting Binary Neural Networks by Sparse Kernel Selection",
    CVPR 2023, arXiv:2303.14470, section 3. Deviates: the defaults, see docs/selection.md for
    how they came about; `SparseKernel.paper()` has the paper's.
    """

    def __init__(
        self,
        codewords: int = 32,
        *,
        formulation: str = "partial",
        temperature: float = 5.0,
        noise_scale: float = 0.0,
        refresh_interval: int = 1,
        sinkhorn_iterations: int = 10,
        logit_scale: float = 5.0,
        initial_selection: str = "random",
        matcher: str = "graph",
        **kwargs: Any,
    ) -> None:
        super().__init__(codewords, **kwargs)
        for name, value in {
            "formulation": formulation,
            "initial_selection": initial_selection,
            "matcher": matcher,
            "temperature": temperature,
            "logit_scale": logit_scale,
            "noise_scale": noise_scale,
            "refresh_interval": refresh_interval,
            "sinkhorn_iterations": sinkhorn_iterations,
        }.items():
            check_argument(name, value)
        if initial_selection == "facility_location" and not self.has_stages:
            raise ValueError(
                'Expected `starts_as` "sign" or "float" with initial_selection='
                '"facility_location", got "codewords": there are no trained kernels at the '
                'start. Use "covering".'
            )
        self.formulation = formulation
        self.initial_selection = initial_selection
        self.matcher = matcher
        self.sinkhorn_iterations = sinkhorn_iterations
        self.logit_scale = logit_scale
        self._initial = {
            "temperature": float(temperature),
            "noise_scale": float(noise_scale),
            "refresh_interval": int(refresh_interval),
        }

    @classmethod
    def paper(cls, codewords: int = 32, **kwargs: Any) -> SparseKernel:
        """The paper's setting: full formulation, k = 10, tau = 0.01, unit Gumbel noise.

        k and tau are quoted from memory of the paper and could not be checked against it.
        """
        setting = {
            "formulation": "full",
            "temperature": 0.01,
            "noise_scale": 1.0,
            "sinkhorn_iterations": 10,
            "logit_scale": 1.0,
        }
        return cls(codewords, **{**setting, **kwargs})

    def build(self, input_shape: tf.TensorShape) -> None:
        super().build(input_shape)
        if self.covers_codebook:
            return
        value = self._initial_logits(self._initial_rows())
        self.logits = self._add_trained("logits", value)
        self.training_selection = self._add_state(
            "training_selection", self._matched(value, noisy=True), tf.int64
        )
        # Dual variables of the last matching: the next one is similar.
        self.prices = self._add_state("prices", np.zeros(len(value)), tf.float32)
        self.step = self._add_state("step", 0, tf.int64)
        self.temperature = self._add_state(
            "temperature", self._initial["temperature"], tf.float32
        )
        self.noise_scale = self._add_state(
            "noise_scale", self._initial["noise_scale"], tf.float32
        )
        self.refresh_interval = self._add_state(
            "refresh_interval", self._initial["refresh_interval"], tf.int64
        )

    # State at the start, computed eagerly.

    def _initial_rows(self) -> npt.NDArray[np.int64] | None:
        """The codewords that the n slots should start with, if any."""
        if self.initial_selection != "covering":
            return None
        # 64 coverings are variety enough, and stay cached.
        return codebook.covering(self.codewords, self.kernel_size, seed=self.seed % 64)

    def _initial_logits(self, rows: npt.NDArray[np.int64] | None) -> npt.NDArray[np.float32]:
        size = codebook.codebook_size(self.kernel_size)
        columns = size if self.formulation == "full" else self.codewords
        rng = np.random.default_rng(self.seed)
        logits = self.logit_scale * rng.standard_normal((size, columns))
        if rows is not None:
            # Move each slot's largest logit to its codeword: the distribution stays the same.
            slots = np.arange(self.codewords)
            largest = logits[:, slots].argmax(axis=0)
            swapped = logits[rows, slots], logits[largest, slots]
            logits[largest, slots], logits[rows, slots] = swapped
        return logits.astype(np.float32)

    def _initial_selection(self) -> npt.NDArray[np.int64]:
        if self.covers_codebook:
            return super()._initial_selection()
        matched: npt.NDArray[np.int64] = self._matched(
            self._initial_logits(self._initial_rows()), noisy=False
        )
        return matched

    def _choose(self, kernels: npt.NDArray[np.float32]) -> None:
        if self.initial_selection != "facility_location":
            return
        rows = greedy_facility_location(
            kernels, self.codewords, codebook.codewords(self.kernel_size)
        )
        initial = self._initial_logits(rows)
        # Largest in its row, too: the matching has to find exactly these.
        initial[rows, np.arange(self.codewords)] = initial.max()
        logits = tf.constant(initial)
        prices = tf.zeros([len(logits)])
        noise_scale = tf.convert_to_tensor(self.noise_scale)
        temperature = tf.convert_to_tensor(self.temperature)
        step = self.step - self.step % tf.maximum(self.refresh_interval, 1)
        noisy, _ = self._match(logits, prices, noise_scale, temperature, step)
        silent, prices = self._match(logits, prices, tf.constant(0.0), temperature, step)
        self.logits.assign(logits)
        self.training_selection.assign(noisy)
        self.selection.assign(silent)
        self.prices.assign(prices)

    def _matched(
        self, logits: npt.NDArray[np.float32], *, noisy: bool
    ) -> npt.NDArray[np.int64]:
        initial = self._initial
        with tf.init_scope():
            ids, _ = self._match(
                tf.constant(logits),
                tf.zeros([len(logits)]),
                tf.constant(initial["noise_scale"] if noisy else 0.0, tf.float32),
                tf.constant(initial["temperature"], tf.float32),
                tf.constant(0, tf.int64),
            )
            return np.asarray(ids, np.int64)

    # One optimizer update.

    def _match(
        self,
        logits: tf.Tensor,
        prices: tf.Tensor,
        noise_scale: tf.Tensor,
        temperature: tf.Tensor,
        step: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The n selected ids for logits `X`, and the prices to start the next matching from."""
        seed = tf.constant(self.seed, tf.int64)
        args = (logits, noise_scale, temperature, seed, step, self.sinkhorn_iterations)
        if self.matcher == "graph":
            ids, prices = _matched_plan_compiled(prices, *args)
        else:
            ids = tf.numpy_function(hungarian, [_plan_compiled(*args)], tf.int64)
            ids = tf.ensure_shape(ids, [logits.shape[1]])
        return ids[: self.codewords], prices

    def _after_update(self, value: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Matches anew when due."""
        logits = value
        interval = self.refresh_interval
        due = tf.logical_and(interval > 0, tf.equal(step % tf.maximum(interval, 1), 0))

        def refresh() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            temperature = tf.convert_to_tensor(self.temperature)
            noise_scale = tf.convert_to_tensor(self.noise_scale)
            before = tf.convert_to_tensor(self.prices)
            silence = tf.zeros_like(noise_scale)
            selection, prices = self._match(logits, before, silence, temperature, step)
            noisy = tf.cond(
                noise_scale > 0,
                lambda: self._match(logits, before, noise_scale, temperature, step)[0],
                lambda: selection,
            )
            return selection, noisy, prices

        def keep() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return (
                tf.convert_to_tensor(self.selection),
                tf.convert_to_tensor(self.training_selection),
                tf.convert_to_tensor(self.prices),
            )

        selection, training_selection, prices = tf.cond(due, refresh, keep)
        self.selection.assign(selection)
        self.training_selection.assign(training_selection)
        self.prices.assign(prices)
        return logits

    def _codewords(self, training: bool | tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        if training is None:
            training = keras.backend.learning_phase()
        if tf.is_tensor(training):
            training = tf.cast(training, tf.bool)
            ids = tf.where(training, self.training_selection, self.selection)
        else:
            ids = tf.convert_to_tensor(self.training_selection if training else self.selection)
        if not tf.is_tensor(training) and not training:
            return super()._codewords(training)
        # The noise of the last matching, also between two of them.
        step = tf.convert_to_tensor(self.step)
        p = _plan_ste(
            tf.convert_to_tensor(self.logits),
            tf.convert_to_tensor(self.noise_scale),
            tf.convert_to_tensor(self.temperature),
            tf.constant(self.seed, tf.int64),
            step - step % tf.maximum(self.refresh_interval, 1),
            self.sinkhorn_iterations,
        )
        return self._noting_gradients(select_ste(p, ids, self.kernel_size)), ids

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **self._initial,
            "formulation": self.formulation,
            "sinkhorn_iterations": self.sinkhorn_iterations,
            "logit_scale": self.logit_scale,
            "initial_selection": self.initial_selection,
            "matcher": self.matcher,
        }
