"""The lists of choices of a run, each kept here alone. Imports no TensorFlow."""

from __future__ import annotations

from keras_sparsebnn._rules import BITS, GROUPS, VALUE_RANGE, Rule

__all__ = [
    "NETWORK_OPTIONS",
    "OPTIMIZERS",
    "OWN_NETWORK",
    "PRECISIONS",
    "SCHEDULES",
    "STRATEGIES",
]

NETWORK_OPTIONS: dict[str, Rule] = {
    "activation_bits": BITS,
    "weight_bits": BITS,
    "activation_range": VALUE_RANGE,
    "groups": GROUPS,
}
"""`model_options` of several networks, which `--set` takes by their own names."""

OPTIMIZERS = ("adam", "sgd")
"""Optimizers of weights and, separately, of selection logits; see `GroupedOptimizer`."""

SCHEDULES = ("cosine", "linear", "constant")
"""How the learning rate falls after the warm-up; see `RestartingDecay`."""

PRECISIONS = ("none", "bfloat16")
"""What layers compute in besides float32."""

STRATEGIES = ("none", "mirrored", "multi_worker", "tpu")
"""Which devices train together; see `run.strategies`."""

OWN_NETWORK = "own"
"""`RunConfig.model` of a network that the user brings, in place of a key of `MODELS`."""
