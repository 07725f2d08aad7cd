"""The lists of choices of a run, each kept here alone. Imports no TensorFlow."""

from __future__ import annotations

__all__ = ["OPTIMIZERS", "PRECISIONS", "SCHEDULES", "STRATEGIES"]

OPTIMIZERS = ("adam", "sgd")
"""Of weights and, on their own, of selection logits; see `GroupedOptimizer`."""

SCHEDULES = ("cosine", "linear", "constant")
"""Of the learning rate after the warm-up; see `RestartingDecay`."""

PRECISIONS = ("none", "bfloat16")
"""What layers compute in besides float32."""

STRATEGIES = ("none", "mirrored", "multi_worker", "tpu")
"""Which devices train together; see `run.strategies`."""
