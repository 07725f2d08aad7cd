"""Structured logits: every slot has a position among the codewords."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.estimators.structured_logits import (
    moved,
    position_ste,
    rate_at,
    select_near,
)
from keras_sparsebnn.quantizers.learned_subset import LearnedSubset
from keras_sparsebnn.quantizers.selection_logits import Ids, SelectionLogits

__all__ = ["StructuredLogits"]

# One operation in the training graph for each shape. Not compiled by XLA, which would take more
# memory than the rest of a small step.
_select_near = tf.function(select_near, autograph=False)


class StructuredLogits(SelectionLogits):
    """`X_ij = <b_i, p_j>`, see `estimators.structured_logits`.

    An optimizer's update of p only says when: p moves by its gradient, in normalised steps, so
    that every optimizer takes it the same way.

    Variables of the quantizer: `positions` p, trained; `own_positions`, p without what the
    optimizer makes of it; `codeword_gradient`, since the last update, summed over
    replicas; `square` r; `start_step`, the update after which slots begin to move; `travel`;
    `freeze_step`.

    Args:
        quantizer: whose selection it is.
        refresh_interval: updates between two matchings; 0: slots stay where they are.
        travel: how far an entry of p moves in all.
        freeze_step: the last update that moves p.
        margin: of the codeword in place.
    """

    def __init__(
        self,
        quantizer: LearnedSubset,
        refresh_interval: int,
        *,
        travel: float,
        freeze_step: int,
        margin: float,
    ) -> None:
        super().__init__(quantizer, refresh_interval)
        self._initial_travel = travel
        self._initial_freeze_step = freeze_step
        self._margin = margin

    def initial_selection(self, rows: Ids | None) -> Ids:
        if rows is not None:
            return np.asarray(rows, np.int64)
        q = self.quantizer
        size = codebook.codebook_size(q.kernel_size)
        return np.random.default_rng(q.seed).choice(size, q.codewords, replace=False)

    def build(self, rows: Ids | None) -> None:
        table = codebook.codewords(self.quantizer.kernel_size)
        start = table[self.initial_selection(rows)]
        self.positions = self._trained("positions", start)
        self.own_positions = self._state("own_positions", start, tf.float32)
        self.codeword_gradient = self._state(
            "codeword_gradient", np.zeros_like(start), tf.float32, summed=True
        )
        self.square = self._state("square", 0.0, tf.float32)
        self.step = self._state("step", 0, tf.int64)
        self.start_step = self._state("start_step", 0, tf.int64)
        self.travel = self._state("travel", self._initial_travel, tf.float32)
        self.freeze_step = self._state("freeze_step", self._initial_freeze_step, tf.int64)
        self.refresh_interval = self._state(
            "refresh_interval", self._initial_interval, tf.int64
        )

    def start_from(self, rows: Ids) -> None:
        start = codebook.codewords(self.quantizer.kernel_size)[rows]
        self.positions.assign(start)
        self.own_positions.assign(start)
        self.quantizer.selection.assign(rows)

    def begin(self) -> None:
        self.start_step.assign(self.step)
        self.square.assign(0.0)
        now, end = (int(keras.backend.get_value(v)) for v in (self.step, self.freeze_step))
        if now >= end:
            warnings.warn(
                f"The codewords of {self.quantizer.name} will not change: they may move up to "
                f"update {end}, and update {now} has passed. Raise `freeze_step`.",
                stacklevel=4,
            )

    def after_update(self, value: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        q = self.quantizer
        start_step = tf.convert_to_tensor(self.start_step)
        rate = rate_at(
            step,
            start_step,
            tf.convert_to_tensor(self.freeze_step),
            tf.convert_to_tensor(self.travel),
        )
        moving = tf.logical_and(self.refresh_interval > 0, q.restricts())
        rate = tf.where(moving, rate, 0.0)
        gradient = tf.convert_to_tensor(self.codeword_gradient)
        positions, square = moved(
            tf.convert_to_tensor(self.own_positions),
            gradient,
            tf.convert_to_tensor(self.square),
            tf.maximum(step - start_step, 1),
            rate,
        )
        ids = tf.convert_to_tensor(q.selection)
        ids = tf.cond(
            tf.logical_and(rate > 0, self._due(step)),
            lambda: _select_near(positions, ids, self._margin),
            lambda: ids,
        )
        self.own_positions.assign(positions)
        self.codeword_gradient.assign(tf.zeros_like(gradient))
        self.square.assign(square)
        q.selection.assign(ids)
        return positions

    def codewords(self, training: bool | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ids = tf.convert_to_tensor(self.quantizer.selection)
        u = position_ste(tf.convert_to_tensor(self.positions), ids)

        @tf.custom_gradient
        def summing(u: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
            def grad(upstream: tf.Tensor) -> tf.Tensor:
                self.codeword_gradient.assign_add(tf.transpose(upstream))
                return upstream

            return tf.identity(u), grad

        return summing(u), ids
