r"""How far rounding may move a result: a running error bound along a Keras model.

For a sum of products computed in any order, with n roundings on the way,
`|computed - exact| <= gamma_n sum |w| |x|`, `gamma_n = n u / (1 - n u)`, `u = 2^-24`. A chain
of linear layers adds up its n, and its magnitudes are those of the same chain with `|w|` and
`|x|`: so a copy of the model with the magnitudes of its weights computes them.

Reference: Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.converters.verification.layer_calls import LayerCall
from keras_sparsebnn.transforms.freezing import freeze
from keras_sparsebnn.transforms.kernels import quantized_kernel
from keras_sparsebnn.transforms.walk import leaf_layers

__all__ = ["Bound", "Roundings"]

_UNIT = 2.0**-24  # half an ulp of float32 at 1

# BN: x - mean, * gamma, rsqrt (2), + epsilon, + beta; and the converter's folding into the
# filter: one rounding of the weight, two of the new bias.
_BATCH_NORM_ROUNDINGS = 10

# Activations and whatever else: exp, tanh and the like are good to a few ulp in both
# implementations, a softmax adds its sum.
_OTHER_ROUNDINGS = 16


Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Bound:
    """n roundings on sums of magnitude S, and what int8 weights may add.

    Shape:
        `magnitude` has the shape of the tensor it bounds, or broadcasts to it; so has `int8`.
    """

    roundings: int
    magnitude: Floats
    int8: Floats | float = 0.0

    @staticmethod
    def exact(value: npt.NDArray[Any]) -> Bound:
        """A value that both sides share."""
        return Bound(0, np.abs(value).astype(np.float32))

    def tolerance(self) -> npt.NDArray[np.float32]:
        """`2 gamma_n S`: one error for Keras, one for the file; plus what int8 adds."""
        n = self.roundings
        rounding = 2 * n * _UNIT / (1 - n * _UNIT) * self.magnitude
        return np.asarray(rounding + self.int8, np.float32)


class Roundings:
    r"""The bounds of a model, layer by layer.

    Args:
        model: a float32 model.
        int8: whether the file has int8 weights and activations. A weight is then off by half a
            step, `max |w| / 254` of its output channel, and a sum by that times `sum |x|`.
    """

    def __init__(self, model: keras.Model, *, int8: bool = False) -> None:
        self._magnitudes = dict(leaf_layers(_magnitude_model(model)))
        self._half_steps = dict(leaf_layers(_half_step_model(model))) if int8 else {}

    def after(self, call: LayerCall, inputs: list[Bound]) -> Bound:
        """The bound of a layer's output, given those of its float inputs."""
        value = np.abs(call.output.numpy())
        own = _own_roundings(call)
        if own is None or len(inputs) != len(call.inputs):
            # Assumed of a layer that this module does not know: it amplifies no error beyond
            # the sum of its inputs. True of activations, softmax, addition.
            total = sum(float(np.max(bound.magnitude, initial=0)) for bound in inputs)
            before = max((bound.roundings for bound in inputs), default=0)
            before_int8 = float(sum(np.max(bound.int8) for bound in inputs))
            magnitude = np.maximum(value, np.float32(total))
            return Bound(before + _OTHER_ROUNDINGS, magnitude, before_int8)
        given = [
            tf.constant(np.broadcast_to(bound.magnitude, tensor.shape))
            for bound, tensor in zip(inputs, call.inputs, strict=True)
        ]
        layer = self._magnitudes[call.path]
        magnitude = layer(given if len(given) > 1 else given[0], training=False).numpy()
        # A sign starts anew: where rounding may flip it is settled where signs are compared.
        signed = getattr(call.layer, "input_quantizer", None) is not None
        before = 0 if signed else max(bound.roundings for bound in inputs)
        int8 = 0.0 if signed else self._int8(call, inputs, given, magnitude)
        return Bound(before + own, np.maximum(magnitude, value), int8)

    def _int8(
        self, call: LayerCall, inputs: list[Bound], given: list[tf.Tensor], magnitude: Floats
    ) -> Floats | float:
        """What int8 weights, of this layer and of those before, add to its output."""
        layer = call.layer
        if not self._half_steps or not any(np.any(bound.int8) for bound in inputs):
            added: Floats | float = 0.0
        else:
            # The layer is linear in magnitudes.
            given = [x + bound.int8 for x, bound in zip(given, inputs, strict=True)]
            larger = self._magnitudes[call.path](given if len(given) > 1 else given[0])
            added = larger.numpy() - magnitude
        if self._half_steps and isinstance(layer, _PRODUCTS) and not _is_exact(layer):
            added = added + self._half_steps[call.path](given[0]).numpy()
        return added


def _magnitude_model(model: keras.Model) -> keras.Model:
    """The model with `|w|` for w and no activations, so that it turns `|x|` into S."""
    copy = freeze(model)
    for _, layer in leaf_layers(copy):
        if isinstance(layer, keras.layers.BatchNormalization):
            for name, sign in (("gamma", 1), ("beta", 1), ("moving_mean", -1)):
                weight = getattr(layer, name, None)
                if weight is not None:
                    weight.assign(sign * tf.abs(weight))
        elif isinstance(layer, _PRODUCTS):
            layer.set_weights([np.abs(weight) for weight in layer.get_weights()])
            layer.activation = keras.activations.linear
        elif isinstance(layer, keras.layers.Rescaling):
            layer.scale, layer.offset = np.abs(layer.scale), np.abs(layer.offset)
    return copy


def _half_step_model(model: keras.Model) -> keras.Model:
    """The model with `max |w| / 254` of an output channel for w and no bias."""
    copy = freeze(model)
    for _, layer in leaf_layers(copy):
        if not isinstance(layer, _PRODUCTS):
            continue
        axes = (0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (0, 1, 2)
        if isinstance(layer, keras.layers.Dense):
            axes = (0, 1)  # one scale for all
        kernel, *bias = layer.get_weights()
        largest = np.abs(kernel).max(axis=axes, keepdims=True)
        layer.set_weights(
            [np.broadcast_to(largest / 254, kernel.shape), *(np.zeros_like(b) for b in bias)]
        )
        layer.activation = keras.activations.linear
    return copy


def _is_exact(layer: keras.layers.Layer) -> bool:
    """Whether a layer sums up +-1 only: integers below 2^24, exact in any order."""
    if not isinstance(layer, lq.layers.QuantConv2D) or layer.input_quantizer is None:
        return False
    return bool(np.all(np.abs(quantized_kernel(layer)) == 1))


_PRODUCTS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
_EXACT = (
    keras.layers.Concatenate,
    keras.layers.Cropping2D,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.MaxPooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Permute,
    keras.layers.Reshape,
    keras.layers.ZeroPadding2D,
)


def _own_roundings(call: LayerCall) -> int | None:
    """Roundings of one layer per output; None if this module does not know the layer."""
    layer = call.layer
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return None
    if isinstance(layer, _PRODUCTS):
        fan_in = max(int(np.prod(weight.shape[:-1])) for weight in layer.weights)
        plain = layer.activation in (keras.activations.linear, keras.activations.relu)
        terms = 0 if _is_exact(layer) else fan_in
        return terms + bool(layer.use_bias) + (0 if plain else _OTHER_ROUNDINGS)
    if isinstance(layer, keras.layers.BatchNormalization):
        return _BATCH_NORM_ROUNDINGS
    if isinstance(layer, keras.layers.Rescaling):
        return 2
    if isinstance(layer, keras.layers.Add):
        return len(call.inputs) - 1
    if isinstance(layer, keras.layers.AveragePooling2D):
        return int(np.prod(layer.pool_size)) + 1
    if isinstance(layer, keras.layers.GlobalAveragePooling2D):
        return int(np.prod(call.inputs[0].shape[1:3])) + 1
    if isinstance(layer, _EXACT):
        return 0
    return None
