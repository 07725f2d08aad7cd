"""Free logits: every pair of a codeword and a slot has a number of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import tf
from keras_sparsebnn.estimators import select_ste
from keras_sparsebnn.quantizers.learned_subset import LearnedSubset
from keras_sparsebnn.quantizers.selection_logits import Ids, SelectionLogits
from keras_sparsebnn.selection.matching import gumbel_noise, hungarian, match_from, sinkhorn

__all__ = ["FreeLogits"]


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
_plan_compiled = tf.function(_plan, jit_compile=True, autograph=False)
_matched_plan_compiled = tf.function(_matched_plan, jit_compile=True, autograph=False)
_logits_gradient_compiled = tf.function(_logits_gradient, jit_compile=True, autograph=False)


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


class FreeLogits(SelectionLogits):
    """`P = Hungarian(S^k((X + noise_scale eps) / tau))`, matched anew after updates of `X`.

    Variables of the quantizer: `logits` X, trained; `training_selection`, with noise; `prices`,
    dual variables of the last matching, which the next one, being similar, starts from;
    `temperature`; `noise_scale`.

    Args:
        quantizer: whose selection it is.
        refresh_interval: updates between two matchings; 0: none.
        formulation: "partial" or "full".
        temperature: tau.
        noise_scale: of the Gumbel noise.
        sinkhorn_iterations: k.
        logit_scale: standard deviation of the initial X.
        matcher: "graph" or "scipy".
    """

    def __init__(
        self,
        quantizer: LearnedSubset,
        refresh_interval: int,
        *,
        formulation: str,
        temperature: float,
        noise_scale: float,
        sinkhorn_iterations: int,
        logit_scale: float,
        matcher: str,
    ) -> None:
        super().__init__(quantizer, refresh_interval)
        self._formulation = formulation
        self._initial_temperature = temperature
        self._initial_noise_scale = noise_scale
        self._iterations = sinkhorn_iterations
        self._logit_scale = logit_scale
        self._matcher = matcher

    def initial_selection(self, rows: Ids | None) -> Ids:
        return self._matched(self._initial_logits(rows), noisy=False)

    def build(self, rows: Ids | None) -> None:
        value = self._initial_logits(rows)
        self.logits = self._trained("logits", value)
        noisy = self._matched(value, noisy=True)
        self.training_selection = self._state("training_selection", noisy, tf.int64)
        self.prices = self._state("prices", np.zeros(len(value)), tf.float32)
        self.step = self._state("step", 0, tf.int64)
        self.temperature = self._state("temperature", self._initial_temperature, tf.float32)
        self.noise_scale = self._state("noise_scale", self._initial_noise_scale, tf.float32)
        self.refresh_interval = self._state(
            "refresh_interval", self._initial_interval, tf.int64
        )

    def _initial_logits(self, rows: Ids | None) -> npt.NDArray[np.float32]:
        q = self.quantizer
        size = codebook.codebook_size(q.kernel_size)
        columns = size if self._formulation == "full" else q.codewords
        rng = np.random.default_rng(q.seed)
        logits = self._logit_scale * rng.standard_normal((size, columns))
        if rows is not None:
            # Move each slot's largest logit to its codeword: the distribution stays the same.
            slots = np.arange(q.codewords)
            largest = logits[:, slots].argmax(axis=0)
            swapped = logits[rows, slots], logits[largest, slots]
            logits[largest, slots], logits[rows, slots] = swapped
        return logits.astype(np.float32)

    def start_from(self, rows: Ids) -> None:
        q = self.quantizer
        initial = self._initial_logits(rows)
        # Largest in its row, too: the matching has to find exactly these.
        initial[rows, np.arange(q.codewords)] = initial.max()
        logits = tf.constant(initial)
        prices = tf.zeros([len(logits)])
        noise_scale = tf.convert_to_tensor(self.noise_scale)
        temperature = tf.convert_to_tensor(self.temperature)
        step = self._last_matching()
        noisy, _ = self._match(logits, prices, noise_scale, temperature, step)
        silent, prices = self._match(logits, prices, tf.constant(0.0), temperature, step)
        self.logits.assign(logits)
        self.training_selection.assign(noisy)
        q.selection.assign(silent)
        self.prices.assign(prices)

    def begin(self) -> None:
        """Nothing to do: free logits need not know when they start."""

    def _matched(self, logits: npt.NDArray[np.float32], *, noisy: bool) -> Ids:
        with tf.init_scope():
            ids, _ = self._match(
                tf.constant(logits),
                tf.zeros([len(logits)]),
                tf.constant(self._initial_noise_scale if noisy else 0.0, tf.float32),
                tf.constant(self._initial_temperature, tf.float32),
                tf.constant(0, tf.int64),
            )
            return np.asarray(ids, np.int64)

    def _match(
        self,
        logits: tf.Tensor,
        prices: tf.Tensor,
        noise_scale: tf.Tensor,
        temperature: tf.Tensor,
        step: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The n selected ids for logits `X`, and the prices to start the next matching from."""
        q = self.quantizer
        seed = tf.constant(q.seed, tf.int64)
        args = (logits, noise_scale, temperature, seed, step, self._iterations)
        if self._matcher == "graph":
            ids, prices = _matched_plan_compiled(prices, *args)
        else:
            ids = tf.numpy_function(hungarian, [_plan_compiled(*args)], tf.int64)
            ids = tf.ensure_shape(ids, [logits.shape[1]])
        return ids[: q.codewords], prices

    def after_update(self, value: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        q = self.quantizer
        logits = value

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
                tf.convert_to_tensor(q.selection),
                tf.convert_to_tensor(self.training_selection),
                tf.convert_to_tensor(self.prices),
            )

        selection, training_selection, prices = tf.cond(self._due(step), refresh, keep)
        q.selection.assign(selection)
        self.training_selection.assign(training_selection)
        self.prices.assign(prices)
        return logits

    def codewords(self, training: bool | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        q = self.quantizer
        ids = tf.convert_to_tensor(self.training_selection)
        if tf.is_tensor(training):
            ids = tf.where(tf.cast(training, tf.bool), ids, q.selection)
        p = _plan_ste(
            tf.convert_to_tensor(self.logits),
            tf.convert_to_tensor(self.noise_scale),
            tf.convert_to_tensor(self.temperature),
            tf.constant(q.seed, tf.int64),
            self._last_matching(),
            self._iterations,
        )
        return select_ste(p, ids, q.kernel_size), ids
