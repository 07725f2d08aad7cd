"""Adam and SGD in one Keras optimizer: selection logits are a group of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["GroupedOptimizer"]

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # Keras's own defaults of Adam


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
        logits: the variables of the other group.
        logit_kind: "adam" or "sgd", of these.
        logit_rate_factor: of the learning rate, >= 0.
        starts: the steps at which the parts of training begin, rising, the first 0. At the
            others the trainer calls `restart`, and Adam counts `t` anew.

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
        learning_rate: Any,
        *,
        momentum: float = 0.9,
        weight_decay: Sequence[float] = (0.0,),
        logits: Sequence[Any] = (),
        logit_kind: str = "adam",
        logit_rate_factor: float = 1.0,
        starts: Sequence[int] = (0,),
        name: str = "GroupedOptimizer",
    ) -> None:
        super().__init__(name=name)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.kind = kind
        self.logit_kind = logit_kind
        self.logit_rate_factor = logit_rate_factor
        self.momentum = momentum
        # Tuples, or Keras would track and save them.
        self.decay_by_part = tuple(weight_decay)
        self.starts = tuple(starts)
        self._logit_keys = frozenset(self._var_key(logit) for logit in logits)

    def build(self, var_list: Any) -> None:
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._m: list[Any] = []
        self._v: list[Any] = []
        self._velocity_index: dict[str, int] = self._no_dependency({})
        for variable in var_list:
            self._m.append(self.add_variable_from_reference(variable, "m"))
            if self._kind_of(variable) == "adam":
                self._velocity_index[self._var_key(variable)] = len(self._v)
                self._v.append(self.add_variable_from_reference(variable, "v"))
        self._built = True

    def _is_logits(self, variable: Any) -> bool:
        return self._var_key(variable) in self._logit_keys

    def _kind_of(self, variable: Any) -> str:
        return self.logit_kind if self._is_logits(variable) else self.kind

    def _of_part(self, values: Sequence[Any], dtype: Any) -> Any:
        """The entry of `values` for the part of training that the next step belongs to."""
        chosen = tf.constant(values[0], dtype)
        for start, value in zip(self.starts[1:], values[1:], strict=True):
            chosen = tf.where(self.iterations >= start, tf.constant(value, dtype), chosen)
        return chosen

    def update_step(self, gradient: Any, variable: Any) -> None:
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
        # Which variables the groups have is no configuration: a run makes its optimizer anew.
        raise SparseBNNError("Expected weights to be saved without this optimizer.")
