"""The learning rate over the steps of a run: warm-up, decay, restarts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn._rules import Rule, check, one_of
from keras_sparsebnn.training.settings.choices import SCHEDULES

__all__ = ["STARTS", "RestartingDecay"]

STARTS: Rule = (
    "rising steps, the first 0",
    lambda v: bool(v) and v[0] == 0 and all(a < b for a, b in itertools.pairwise(v)),
)
"""Of the parts of training."""


@lq.utils.register_keras_custom_object  # .h5 files have plain names
@keras.utils.register_keras_serializable("keras_sparsebnn")
class RestartingDecay(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    r"""Linear warm-up, then decay to 0; the same again in each part of training.

    With `s` steps since the part began, `w` of warm-up and `T` in all,
    `p = (s - w) / (T - w)`:

        s < w:  rate s / w
        then:   rate (1 + cos(pi p)) / 2,  rate (1 - p),  or rate

    Args:
        rate: at its highest, > 0.
        kind: "cosine", "linear" or "constant".
        starts: the steps at which the parts begin, rising, the first 0.
        total: the step at which the last part ends.
        warmup: steps of warm-up in each part, at most the whole part.

    Shape:
        step, an integer scalar -> float32 scalar.

    Raises:
        SparseBNNError: an argument is out of range, or not a kind of decay.

    Example:
        >>> schedule = RestartingDecay(0.1, "linear", starts=(0, 4), total=8)
        >>> [round(float(schedule(step)), 3) for step in (0, 2, 4, 8)]
        [0.1, 0.05, 0.1, 0.0]
    """

    def __init__(
        self,
        rate: float,
        kind: str,
        *,
        starts: Sequence[int] = (0,),
        total: int,
        warmup: int = 0,
    ) -> None:
        self.rate = rate
        self.kind = kind
        self.starts = tuple(starts)
        self.total = total
        self.warmup = warmup
        check("rate", rate, ("> 0", lambda v: v > 0))
        check("kind", kind, one_of(*SCHEDULES))
        check("starts", self.starts, STARTS)
        check("total", total, (f"> {starts[-1]}, the last start", lambda v: v > starts[-1]))
        check("warmup", warmup, (">= 0", lambda v: v >= 0))

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        step = tf.cast(step, tf.int64)
        value = None
        for start, end in zip(self.starts, (*self.starts[1:], self.total), strict=True):
            warmup = min(self.warmup, end - start)
            done = tf.cast(step - start, tf.float32)
            progress = tf.clip_by_value((done - warmup) / max(1, end - start - warmup), 0, 1)
            if self.kind == "cosine":
                factor = 0.5 * (1.0 + tf.cos(np.float32(np.pi) * progress))
            elif self.kind == "linear":
                factor = 1.0 - progress
            else:
                factor = tf.ones_like(progress)
            if warmup:
                factor = tf.where(done < warmup, done / warmup, factor)
            value = factor if value is None else tf.where(step >= start, factor, value)
        return tf.constant(self.rate, tf.float32) * value

    def get_config(self) -> dict[str, Any]:
        return {
            "rate": self.rate,
            "kind": self.kind,
            "starts": list(self.starts),
            "total": self.total,
            "warmup": self.warmup,
        }
