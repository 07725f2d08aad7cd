"""The base class of quantizers that restrict a layer's kernels to n codewords."""

from __future__ import annotations

import importlib
import random
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn._rules import check, integer, is_codewords, is_int
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.estimators import (
    approx_identity,
    clipped_identity,
    ede_identity,
    nearest_codeword_ste,
    standardized,
)
from keras_sparsebnn.estimators.ir_net import T_MIN
from keras_sparsebnn.quantizers.methods import check_argument

__all__ = ["STAGES", "SubsetKernel", "sign", "sparse_quantizer", "validate_codewords"]

# Which layer's kernels a quantizer is for. Not an attribute: a copy is for another layer.
_LAYER_OF: weakref.WeakKeyDictionary[SubsetKernel, weakref.ref[keras.layers.Layer]] = (
    weakref.WeakKeyDictionary()
)
# Keras tells nobody else which layer is being called.
_CALL_CONTEXT = importlib.import_module(
    f"{keras.layers.Layer.__module__.rpartition('.')[0]}.base_layer_utils"
).call_context

STAGES = ("float", "sign", "codewords")
"""What a layer's kernels are, in the order of training."""


def validate_codewords(codewords: int, kernel_size: int = 3, where: str = "") -> int:
    """`codewords`, or a one-line `ValueError` that says what to use instead."""
    item = getattr(codewords, "item", None)  # NumPy's numbers are fine
    codewords = codewords if item is None else item()
    size = codebook.codebook_size(kernel_size)
    at = f" ({where})" if where else ""
    if not is_int(codewords):
        raise ValueError(f"Expected `codewords` to be an int, got {codewords!r}{at}.")
    if is_codewords(codewords, size):
        return codewords
    below = 1 << (max(2, min(codewords, size)).bit_length() - 1)
    hint = f"{below} or {2 * below}" if below < codewords < size else f"{below}"
    raise ValueError(
        f"Expected `codewords` to be a power of two in [2, {size}], got {codewords}{at}. "
        f"Use {hint}."
    )


class SubsetKernel(lq.quantizers._BaseQuantizer):  # type: ignore[misc]
    r"""Replaces every kernel by the nearest of n codewords.

    Forward:   `what_c = alpha_o argmin_{u in U} ||u - w_c||^2`, `U` the n selected codewords.
    Backward:  `g(w_c) = alpha_o g(what_c) 1[|w_c| <= clip_value]`, or as `gradient` says.

    Subclasses say which codewords: `selection` holds their ids, in no particular order. With
    n = N, the whole codebook, this is `ste_sign`, forward and backward.

    Training may pass through stages before it restricts kernels: `"float"` hands the latent
    kernels on as they are (step one of two-step training), `"sign"` is plain 1-bit. The stage
    is state, which checkpoints keep; `enter` or `training.StageSchedule` changes it. On
    entering `"codewords"` a method may choose its selection from the latent kernels.

    Args:
        codewords: n, a power of two; 2..512 for 3x3, 2..16 for 2x2, 2 for 1x1 kernels.
        clip_value: gradients pass where `|w|` is at most this; everywhere if None. Of
            `gradient="clip"` only.
        gradient: "clip", "approx" (Bi-Real Net's, for `|w| <= 1`) or "ede" (IR-Net's, whose t
            is the variable `ede_t`: 0.1 until `training.SelectionSchedule(ede_t=...)`, or
            `sparsebnn train`, raises it).
        standardize: binarise, and choose codewords for, kernels of zero mean and unit variance
            per output channel, as IR-Net does. Kernels in the stage "float" stay as they are.
        magnitude_scale: multiply by `alpha_o = mean |W_o|` per output channel (its gradient
            stopped), as in ReActNet. Folds into batch norm at conversion. Here and in
            `standardize` output channels are the kernel's last axis, as in larq: of depthwise
            kernels the multiplier, of transposed convolutions the input channels.
        starts_as: the stage at the start, a key of `STAGES`. With "codewords" the
            quantizer has no stages, and no variable for them.
        seed: of everything random here; drawn from Python's `random` if None, so
            `tf.keras.utils.set_random_seed` governs it.
        **kwargs: `metrics=["flip_ratio"]` and `name`, as of larq's quantizers.

    Shape:
        `[k, k, Cin, Cout]` -> the same.

    Raises:
        ValueError: for an impossible `codewords`, an unknown stage, a kernel that is not 1x1,
            2x2 or 3x3, or a second layer: the state is that of one layer's kernels.
    """

    precision = 1

    def __init__(
        self,
        codewords: int = 32,
        *,
        clip_value: float | None = 1.0,
        gradient: str = "clip",
        standardize: bool = False,
        magnitude_scale: bool = False,
        starts_as: str = "codewords",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        # Latents must be assigned in float32 whatever the policy: weights hold state, not
        # activations.
        kwargs = {**kwargs, "dtype": "float32", "autocast": False}
        super().__init__(**kwargs)
        self.codewords = validate_codewords(codewords)
        for argument, value in (
            *(("clip_value", clip_value), ("gradient", gradient)),
            *(("standardize", standardize), ("magnitude_scale", magnitude_scale)),
        ):
            check_argument(argument, value)
        if seed is not None:
            check("seed", int(seed), integer(0, 2**63 - 1))
        self.clip_value = clip_value
        self.gradient = gradient
        self.standardize = standardize
        self.magnitude_scale = magnitude_scale
        self.starts_as = _validated_stage("starts_as", starts_as)
        self.seed = random.randrange(2**31) if seed is None else int(seed)
        self.kernel_size = 0  # known once built
        self._stage: Any = None

    def claim(self, layer: keras.layers.Layer) -> None:
        """Makes this the quantizer of `layer`, and of no other.

        Layers of this package call it when they are built; for larq's it happens in their
        first call.

        Raises:
            ValueError: it is another layer's already.
        """
        owner = _LAYER_OF.get(self, lambda: None)()
        if owner is not None and owner is not layer:
            raise ValueError(
                f"Expected a quantizer of its own for each layer, got {self.name} in layers "
                f"{owner.name} and {layer.name}. Make one per layer: its codewords are state."
            )
        _LAYER_OF[self] = weakref.ref(layer)

    # Control flow on tensors is explicit here and in subclasses (tf.cond): AutoGraph would only
    # make tracing slower.
    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: tf.Tensor, *args: Any, **kwargs: Any) -> tf.Tensor:
        layer = _CALL_CONTEXT().layer
        # Whatever the layer calls it: kernel_quantizer, depthwise_quantizer, ...
        names = [name for name, value in vars(layer or object).items() if value is self]
        if len(names) > 1:
            raise ValueError(
                f"Expected a quantizer of its own for each kernel, got {self.name} as "
                f"{' and '.join(names)} of layer {layer.name}. Make one per kernel: its "
                "codewords are state."
            )
        if names:
            self.claim(layer)
        if self.built and inputs.shape[:2] != (self.kernel_size, self.kernel_size):
            raise ValueError(
                f"Expected kernels of {self.kernel_size}x{self.kernel_size}, got shape "
                f"{tuple(inputs.shape)} (quantizer {self.name}). Make one quantizer per kernel."
            )
        return super().__call__(inputs, *args, **kwargs)

    def build(self, input_shape: tf.TensorShape) -> None:
        shape = tuple(tf.TensorShape(input_shape).as_list())
        if len(shape) != 4 or shape[0] != shape[1]:
            raise ValueError(
                f"Expected a square 2D kernel [k, k, Cin, Cout], got shape {shape} "
                f"(quantizer {self.name}). Use ste_sign for that layer."
            )
        self.kernel_size = int(shape[0])
        validate_codewords(self.codewords, self.kernel_size, f"quantizer {self.name}")
        self.selection = self._add_state("selection", self._initial_selection(), tf.int64)
        if self.starts_as != "codewords":
            self._stage = self._add_state("stage", STAGES.index(self.starts_as), tf.int64)
        if self.gradient == "ede":
            self.ede_t = self._add_state("ede_t", T_MIN, tf.float32)
        super().build(input_shape)

    def _add_state(
        self, name: str, value: npt.ArrayLike, dtype: tf.DType, *, summed: bool = False
    ) -> tf.Variable:
        """A variable equal on all replicas: the first's, or the sum of what they assign."""
        value = np.asarray(value)
        aggregation = tf.VariableAggregation
        return self.add_weight(
            name=name,
            shape=value.shape,
            dtype=dtype,
            initializer=keras.initializers.Constant(value),
            trainable=False,
            experimental_autocast=False,
            aggregation=aggregation.SUM if summed else aggregation.ONLY_FIRST_REPLICA,
        )

    @property
    def covers_codebook(self) -> bool:
        """Whether n = N, so that nothing is left to select."""
        return bool(self.codewords == codebook.codebook_size(self.kernel_size))

    @property
    def has_stages(self) -> bool:
        """Whether `enter` can change the stage."""
        return self.starts_as != "codewords"

    @property
    def stage(self) -> str:
        """The stage that training is in: "float", "sign" or "codewords"."""
        if self._stage is None:
            return self.starts_as
        return STAGES[int(keras.backend.get_value(self._stage))]

    def restricts(self) -> tf.Tensor:
        """Whether the stage is "codewords", as a tensor of the training graph."""
        if self._stage is None:
            return tf.constant(True)
        return tf.equal(tf.convert_to_tensor(self._stage), STAGES.index("codewords"))

    def binarises(self) -> tf.Tensor:
        """Whether the stage is not "float", as a tensor of the training graph."""
        if self._stage is None:
            return tf.constant(self.starts_as != "float")
        return tf.not_equal(tf.convert_to_tensor(self._stage), STAGES.index("float"))

    @property
    def is_restricted(self) -> bool:
        """Whether evaluation uses codewords of the selection only."""
        return self.stage == "codewords" or (self.stage == "sign" and self.covers_codebook)

    def enter(self, stage: str, kernel: tf.Tensor) -> None:
        """Goes over to a stage, eagerly, between two steps.

        On entering "codewords" the selection is chosen anew if the method chooses it from
        latent kernels; otherwise it stays.

        Args:
            stage: a key of `STAGES`.
            kernel: the layer's latent kernel.

        Shape:
            kernel: `[k, k, Cin, Cout]`.

        Raises:
            ValueError: unknown stage, not built, made without stages, or a kernel to choose
                from that is not finite.
        """
        _validated_stage("stage", stage)
        if self._stage is None:
            raise ValueError(
                f'Expected a built quantizer with `starts_as` "float" or "sign", got '
                f'"{self.starts_as}", built: {self.built} (quantizer {self.name}). '
                "Say so when making it, and build its layer."
            )
        if stage == "codewords" and self.stage != stage and not self.covers_codebook:
            latent = self._binarised_latent(tf.cast(kernel, tf.float32))
            if not np.isfinite(latent).all():
                raise SparseBNNError(
                    "Expected finite kernels to choose codewords from, got NaN or infinity "
                    f"(quantizer {self.name}): the training has diverged. Use a smaller "
                    "learning rate."
                )
            self._choose(latent.numpy().reshape(self.kernel_size**2, -1).T)
        self._stage.assign(STAGES.index(stage))

    def _choose(self, kernels: npt.NDArray[np.float32]) -> None:
        """Sets the selection from latent kernels `[C, k*k]`, in methods that do so."""

    def _initial_selection(self) -> npt.NDArray[np.int64]:
        size = codebook.codebook_size(self.kernel_size)
        if self.codewords == size:
            return np.arange(size)
        return np.random.default_rng(self.seed).choice(size, self.codewords, replace=False)

    def _codewords(self, training: bool | tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        """`(U [k*k, n], ids [n])` for this call."""
        table = tf.constant(codebook.codewords(self.kernel_size))
        ids = tf.convert_to_tensor(self.selection)
        return tf.transpose(tf.gather(table, ids)), ids

    def call(self, inputs: tf.Tensor, training: bool | tf.Tensor | None = None) -> tf.Tensor:
        latent = tf.cast(inputs, tf.float32)
        binarised = self._binarised_latent(latent)
        shaped = self._shaped(binarised)
        kernel = sign(shaped) if self.covers_codebook else self._nearest(shaped, training)
        stage = None if self._stage is None else tf.convert_to_tensor(self._stage)
        # With stages: all of them, then one of them. A branch would cost more in tracing than
        # it saves, and cannot be differentiated from outside of its graph.
        if stage is not None:
            kernel = tf.where(tf.equal(stage, STAGES.index("sign")), sign(shaped), kernel)
        kernel = self._scaled(kernel, shaped)
        if stage is not None:
            kernel = tf.where(tf.equal(stage, STAGES.index("float")), latent, kernel)
        # For larq's flip ratio, which rounds to integers: without a scale.
        super().call(tf.sign(kernel))
        return tf.cast(kernel, inputs.dtype)

    @property
    def non_trainable_weights(self) -> list[tf.Variable]:
        """The state of the selection; as with larq's quantizers, not that of their metrics."""
        metric = getattr(self, "flip_ratio", None)
        hidden = set() if metric is None else {id(v) for v in metric.variables}
        every = keras.layers.Layer.non_trainable_weights.fget(self)
        return [v for v in every if id(v) not in hidden]

    def _nearest(self, latent: tf.Tensor, training: bool | tf.Tensor | None) -> tf.Tensor:
        """The nearest selected codeword of each kernel; gradients pass unchanged."""
        u, ids = self._codewords(training)
        flat = tf.reshape(latent, [self.kernel_size**2, -1])
        kernel = nearest_codeword_ste(flat, u, ids, clip_value=None)
        return tf.reshape(kernel, tf.shape(latent))

    def _scaled(self, kernel: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
        """Kernels of +-1 with the scale of their output channels, given the latents."""
        if not self.magnitude_scale:
            return kernel
        return kernel * tf.stop_gradient(tf.reduce_mean(tf.abs(latent), axis=[0, 1, 2]))

    def _binarised_latent(self, latent: tf.Tensor) -> tf.Tensor:
        """The latents that codewords are chosen for: as they are, or standardized."""
        return standardized(latent) if self.standardize else latent

    def _shaped(self, latent: tf.Tensor) -> tf.Tensor:
        """`latent`, unchanged, with a gradient of the shape that `gradient` names."""
        if self.gradient == "ede":
            return ede_identity(latent, tf.convert_to_tensor(self.ede_t))
        if self.gradient == "approx":
            return approx_identity(latent)
        return clipped_identity(latent, self.clip_value)

    @property
    def logit_weights(self) -> list[tf.Variable]:
        """Variables that the optimizer trains at the rate of selection logits."""
        return list(self.trainable_weights)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("dtype", None)
        return {
            **config,
            "codewords": self.codewords,
            "clip_value": self.clip_value,
            "gradient": self.gradient,
            "standardize": self.standardize,
            "magnitude_scale": self.magnitude_scale,
            "starts_as": self.starts_as,
            "seed": self.seed,
        }


def sign(latent: tf.Tensor) -> tf.Tensor:
    """The sign, +1 for 0; gradients pass unchanged."""
    return lq.quantizers.ste_sign(latent, clip_value=None)


def _validated_stage(name: str, stage: str) -> str:
    if stage not in STAGES:
        raise ValueError(
            f"Expected `{name}` to be one of {', '.join(STAGES)}, got {stage!r:.60}."
        )
    return stage


def sparse_quantizer(layer: keras.layers.Layer) -> SubsetKernel | None:
    """The layer's kernel quantizer if it restricts kernels to a subset, else None."""
    quantizer = getattr(layer, "kernel_quantizer", None)
    return quantizer if isinstance(quantizer, SubsetKernel) else None
