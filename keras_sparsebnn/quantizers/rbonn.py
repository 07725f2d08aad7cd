"""RBONN: learned scales with a bilinear gradient, and recurrent backtracking."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.estimators import bilinear_ste, neglected, noting_identity
from keras_sparsebnn.quantizers.methods import check_argument
from keras_sparsebnn.quantizers.register import register_quantizer
from keras_sparsebnn.quantizers.subset_kernel import SubsetKernel

__all__ = ["RBONN"]

_MIN_SCALE = 1e-4  # below, LCE would not see a binary filter


@register_quantizer("rbonn")
class RBONN(SubsetKernel):
    r"""Scaled signs, or codewords, of weights that neglected channels are taken back to.

    Forward:   `what_o = magnitude |s_o| sign(w_o)`, `s_o` learned per output channel; with a
               codebook, the nearest of n fixed codewords takes the place of the sign.
    Backward:  bilinear: `g(w) = g(what) |s| + bilinear (w - what)`, see `estimators.rbonn`.

    In training, before it is binarised, a channel whose `|s_o|` is among the smallest, all but
    the share `density`, becomes `w + u_o previous` ("weights") or `w - u_o g(previous)`
    ("gradient"), where `previous` is state: the latents, or their gradient, of the last step.
    The scale folds into batch norm at conversion.

    Args:
        codewords: n, drawn at random and never changed; the whole codebook by default.
        clip_value: as in `SubsetKernel`; None, everywhere, as published.
        bilinear: lambda, >= 0.
        backtrack: first value of the learned `u_o`, >= 0; 0 for no backtracking. `u_o` learns
            at the rate of the selection logits, `logit_rate_factor` of the others (published:
            0.1).
        density: share of the channels that keep their weights, in [0, 1].
        backtrack_of: "weights", as published, or "gradient", as in the code.
        magnitude: m > 0.
        **kwargs: as of `SubsetKernel`.

    Shape and errors as in `SubsetKernel`.

    Example:
        >>> RBONN().codewords, RBONN(16, backtrack_of="gradient").backtrack
        (512, 0.2)

    Reference: Xu et al., "Recurrent Bilinear Optimization for Binary Neural Networks", ECCV
    2022, arXiv:2209.01542, and its public code. Deviates: channels are chosen by the rank of
    `|s_o|`, as published, where the code compares indices of an argsort; `|s_o|` counts as at
    least 0.0001; codewords are ours.
    """

    def __init__(
        self,
        codewords: int = 512,
        *,
        clip_value: float | None = None,
        bilinear: float = 1e-4,
        backtrack: float = 0.2,
        density: float = 0.6,
        backtrack_of: str = "weights",
        magnitude: float = 0.02,
        **kwargs: object,
    ) -> None:
        of_subset: dict[str, Any] = {**kwargs}
        super().__init__(codewords, clip_value=clip_value, **of_subset)
        self._options = {
            "bilinear": bilinear,
            "backtrack": backtrack,
            "density": density,
            "backtrack_of": backtrack_of,
            "magnitude": magnitude,
        }
        for name, value in self._options.items():
            check_argument(name, value)
            setattr(self, name, value)

    def build(self, input_shape: tf.TensorShape) -> None:
        super().build(input_shape)
        shape = tuple(tf.TensorShape(input_shape).as_list())
        first = np.random.default_rng((self.seed, 1)).normal(size=shape[-1])
        self.scale = self._add_trained("scale", first)
        if self.backtrack:
            self.step_back = self._add_trained("step_back", np.full(shape[-1], self.backtrack))
            of_gradient = self.backtrack_of == "gradient"
            self.previous = self._add_state(
                "previous", np.zeros(shape), tf.float32, summed=of_gradient
            )

    def _add_trained(self, name: str, value: npt.NDArray[np.float64]) -> tf.Variable:
        return self.add_weight(
            name=name,
            shape=value.shape,
            dtype=tf.float32,
            initializer=keras.initializers.Constant(value),
            experimental_autocast=False,
        )

    @property
    def logit_weights(self) -> list[tf.Variable]:
        """`u`."""
        return [self.step_back] if self.backtrack else []

    def _magnitude(self) -> tf.Tensor:
        """`|s|`; its gradient passes below the least value, too."""
        scale = tf.abs(self.scale)
        return scale + tf.stop_gradient(tf.maximum(scale, _MIN_SCALE) - scale)

    def call(self, inputs: tf.Tensor, training: bool | tf.Tensor | None = None) -> tf.Tensor:
        if training is None:
            training = keras.backend.learning_phase()
        if self.backtrack_of == "gradient" and inputs.dtype == tf.float16:
            raise ValueError(
                'Expected `backtrack_of` "weights" in a float16 policy, whose gradients are '
                'scaled, got "gradient". Use it, or mixed_bfloat16.'
            )
        if self.backtrack and (tf.is_tensor(training) or training):
            latent = noting_identity(tf.cast(inputs, tf.float32), self._note)
            back = self._way_back() * tf.cast(training, tf.float32)
            inputs = tf.cast(latent + back, inputs.dtype)
        return super().call(inputs, training)

    def _way_back(self) -> tf.Tensor:
        """What backtracking adds to the latents; 0 in the stage "float"."""
        chosen = neglected(tf.abs(self.scale), self.density)
        chosen *= tf.cast(self.binarises(), tf.float32)
        sign = -1.0 if self.backtrack_of == "gradient" else 1.0
        return sign * self.step_back * chosen * tf.convert_to_tensor(self.previous)

    def _note(self, latent: tf.Tensor, gradient: tf.Tensor) -> None:
        self.previous.assign(gradient if self.backtrack_of == "gradient" else latent)

    def _scaled(self, kernel: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
        scaled = bilinear_ste(
            latent,
            kernel,
            self._magnitude(),
            magnitude=self.magnitude,
            bilinear=self.bilinear,
        )
        return super()._scaled(scaled, latent)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._options}
