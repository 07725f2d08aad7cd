"""Adam and SGD in one Keras optimizer: selection logits are a group of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn._rules import check, one_of
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import SubsetKernel
from keras_sparsebnn.training.keras.learning_rate import STARTS
from keras_sparsebnn.training.settings.choices import OPTIMIZERS
from keras_sparsebnn.transforms.walk import all_layers

__all__ = ["GroupedOptimizer", "selection_logits"]

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # Keras's own defaults of Adam


def selection_logits(model: keras.Model) -> list[tf.Variable]:
    """The variables of a model that decide which codewords its layers use, or that a method
    trains like them, see `SubsetKernel.logit_weights`; of depthwise kernels, too.

    Example:
        >>> selection_logits(keras.Sequential([keras.layers.Dense(2, input_shape=(3,))]))
        []
    """
    return [
        weight
        for _, layer in all_layers(model)
        if isinstance(layer, SubsetKernel)
        for weight in layer.logit_weights
    ]


@lq.utils.register_keras_custom_object  # .h5 files have plain names
@keras.utils.register_keras_serializable("keras_sparsebnn")
class GroupedOptimizer(keras.optimizers.Optimizer):  # type: ignore[misc]
    r"""Adam or SGD with momentum for the weights, either of them for the selection logits.

    With `g` the gradient, `r_t` the scheduled rate and `t` counted from the last restart:

        g <- g + lambda_t w                                   where weight decay applies
        Adam:  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
               w <- w - r_t sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)
        SGD:   m <- mu m - r_t g;  w <- w + m

    Logits use `r_t * logit_rate_factor` for `r_t` and never decay. The factor scales their
    updates, not their gradients: Adam divides a factor of the gradient out again.

    Decay is added to the gradient (L2), as the published recipes do it through PyTorch's
    `weight_decay`, and only for kernels (rank 2 and up), not for biases, batch norm or
    activation parameters.

    Keras applies each variable's constraint after the update, as with its own optimizers: that
    is where a layer's selection is matched anew.

    Args:
        kind: "adam" or "sgd", of all variables but the logits.
        learning_rate: a Keras schedule over the optimizer's steps, or a number.
        momentum: mu of SGD, in [0, 1).
        weight_decay: lambda, >= 0, one for each part of training.
        logits: the variables of the other group, or their places in the list of variables that
            `build` gets, which for a model are its `trainable_variables`. A saved model has the
            places, so it loads again.
        logit_kind: "adam" or "sgd", of these.
        logit_rate_factor: of the learning rate, >= 0.
        starts: the steps at which the parts of training begin, rising, the first 0. At the
            others the trainer calls `restart`, and Adam counts `t` anew; in a `model.fit` of
            your own, call it there.

    Raises:
        SparseBNNError: an argument is out of range, or `weight_decay` has not one number for
            each of `starts`; or the configuration is asked for before `build` while `logits`
            are variables.

    Example:
        >>> weight = tf.Variable([1.0])
        >>> optimizer = GroupedOptimizer("sgd", 0.1, momentum=0.0)
        >>> optimizer.build([weight])
        >>> _ = optimizer.apply_gradients([(tf.constant([2.0]), weight)])
        >>> round(float(weight[0]), 3)
        0.8

    Reference: Kingma and Ba, "Adam", ICLR 2015, arXiv:1412.6980, in the form before its
    section 2.1, as in Keras. Deviates: nothing.
    """

    def __init__(
        self,
        kind: str,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        *,
        momentum: float = 0.9,
        weight_decay: Sequence[float] = (0.0,),
        logits: Sequence[tf.Variable] | Sequence[int] = (),
        logit_kind: str = "adam",
        logit_rate_factor: float = 1.0,
        starts: Sequence[int] = (0,),
        name: str = "GroupedOptimizer",
    ) -> None:
        super().__init__(name=name)
        check("kind", kind, one_of(*OPTIMIZERS))
        check("logit_kind", logit_kind, one_of(*OPTIMIZERS))
        check("momentum", momentum, ("in [0, 1)", lambda v: 0 <= v < 1))
        check("logit_rate_factor", logit_rate_factor, (">= 0", lambda v: v >= 0))
        check("starts", starts, STARTS)
        if np.ndim(weight_decay) != 1 or (
            any(weight_decay) and len(weight_decay) != len(starts)
        ):
            raise SparseBNNError(
                "Expected `weight_decay` to be a list of numbers, one for each of the "
                f"{len(starts)} `starts`, got {weight_decay!r:.60}."
            )
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.kind = kind
        self.logit_kind = logit_kind
        self.logit_rate_factor = logit_rate_factor
        self.momentum = momentum
        # Tuples, or Keras would track and save them.
        self.decay_by_part = tuple(weight_decay)
        self.starts = tuple(starts)
        places = tuple(logit for logit in logits if isinstance(logit, int))
        self._logit_places = places if len(places) == len(logits) else None
        self._logit_keys = frozenset(
            self._var_key(logit) for logit in logits if not isinstance(logit, int)
        )

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        keys = [self._var_key(variable) for variable in var_list]
        if self._logit_places is None:
            self._logit_places = tuple(i for i, k in enumerate(keys) if k in self._logit_keys)
        self._logit_keys = frozenset(keys[place] for place in self._logit_places)
        self._m: list[tf.Variable] = []
        self._v: list[tf.Variable] = []
        self._velocity_index: dict[str, int] = self._no_dependency({})
        for variable in var_list:
            self._m.append(self.add_variable_from_reference(variable, "m"))
            if self._kind_of(variable) == "adam":
                self._velocity_index[self._var_key(variable)] = len(self._v)
                self._v.append(self.add_variable_from_reference(variable, "v"))
        self._built = True

    def _is_logits(self, variable: tf.Variable) -> bool:
        return self._var_key(variable) in self._logit_keys

    def _kind_of(self, variable: tf.Variable) -> str:
        return self.logit_kind if self._is_logits(variable) else self.kind

    def _of_part(self, values: Sequence[float], dtype: tf.DType) -> tf.Tensor:
        """The entry of `values` for the part of training that the next step belongs to."""
        chosen = tf.constant(values[0], dtype)
        for start, value in zip(self.starts[1:], values[1:], strict=True):
            chosen = tf.where(self.iterations >= start, tf.constant(value, dtype), chosen)
        return chosen

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        gradient = tf.convert_to_tensor(gradient)
        dtype = variable.dtype
        logits = self._is_logits(variable)
        rate = tf.cast(self.learning_rate, dtype)
        if logits:
            rate = rate * self.logit_rate_factor
        elif any(self.decay_by_part) and variable.shape.rank >= 2:
            gradient = gradient + self._of_part(self.decay_by_part, dtype) * variable
        key = self._var_key(variable)
        m = self._m[self._index_dict[key]]
        if self._kind_of(variable) == "sgd":
            m.assign(m * self.momentum - gradient * rate)
            variable.assign_add(m)
            return
        v = self._v[self._velocity_index[key]]
        step = tf.cast(self.iterations - self._of_part(self.starts, tf.int64) + 1, dtype)
        power_1, power_2 = (tf.pow(tf.constant(b, dtype), step) for b in (BETA_1, BETA_2))
        m.assign_add((gradient - m) * (1 - BETA_1))
        v.assign_add((tf.square(gradient) - v) * (1 - BETA_2))
        alpha = rate * tf.sqrt(1 - power_2) / (1 - power_1)
        variable.assign_sub(m * alpha / (tf.sqrt(v) + EPSILON))

    def restart(self) -> None:
        """Forgets all momenta; the count of steps goes on."""
        for slot in (*self._m, *self._v):
            slot.assign(tf.zeros_like(slot))

    def get_config(self) -> dict[str, Any]:
        if self._logit_places is None:
            raise SparseBNNError(
                "Expected an optimizer that knows the places of its logits, got one that is "
                "not built. Call optimizer.build(model.trainable_variables) before saving."
            )
        return {
            "name": self.name,
            "kind": self.kind,
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "momentum": self.momentum,
            "weight_decay": list(self.decay_by_part),
            "logits": list(self._logit_places),
            "logit_kind": self.logit_kind,
            "logit_rate_factor": self.logit_rate_factor,
            "starts": list(self.starts),
        }
