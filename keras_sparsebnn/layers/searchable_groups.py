r"""Group convolution whose number of groups can change: one layer of a supernet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.layers.channel_shuffle import ChannelShuffle, shuffled_channels
from keras_sparsebnn.layers.folded_conv2d import FoldedConv2D
from keras_sparsebnn.layers.sparse_binary_conv2d import SparseBinaryConv2D
from keras_sparsebnn.quantizers import RBONN, OneBit, SubsetKernel

__all__ = ["SearchableGroupsConv2D", "group_numbers"]

WORD = 32
"""Channels of a group: a multiple of what LCE packs into one word."""


def group_numbers(channels: int, filters: int) -> tuple[int, ...]:
    """Every number of groups that a file's binary convolution can have.

    Example:
        >>> group_numbers(128, 256), group_numbers(96, 96), group_numbers(3, 8)
        ((1, 2, 4), (1, 3), (1,))
    """
    most = channels // WORD if channels % WORD == 0 else 1
    fits = (g for g in range(2, most + 1) if channels % (WORD * g) == filters % g == 0)
    return (1, *fits)


@lq.utils.register_keras_custom_object
@keras.utils.register_keras_serializable(package="keras_sparsebnn")
class SearchableGroupsConv2D(FoldedConv2D):
    r"""A binary convolution in any of several numbers of groups, on one latent kernel.

    Forward, with the chosen g:

        y = conv(x, what * mask_g),    mask_g[i, o] = 1[group(i) = floor(o g / Cout)]

    which is, exactly, a convolution of g groups on the part of `what` that the mask leaves.
    Without `shuffle`, `group(i) = floor(i g / Cin)`: the mask is block-diagonal. With it, `y`
    is what `ChannelShuffle(g)` before the group convolution gives: `group(i) = floor(j g /
    Cin)`, channel i being the j-th after it. No channel is moved here: weight `[., ., i, o]`
    belongs to the same input and output in every choice.

    Backward:  ordinary differentiation: masked weights get the gradient 0. (An optimizer with
    momenta still moves them.)

    The choice is a variable, which is saved with the weights: changing it compiles nothing
    anew, also with `jit_compile=True`. `training.RandomGroups` draws one for each step.

    Args:
        filters: output channels.
        kernel_size: 1, 2 or 3, square.
        choices: the g to choose from, in order of preference; "auto": all whose groups have a
            multiple of 32 input channels, see `group_numbers`. The first is chosen at first.
        shuffle: whether channels are dealt out to the groups.
        codewords: n; None for all.
        kernel_quantizer: a name, a class or, without `codewords`, a quantizer; `OneBit` if both
            are None. It chooses codewords for the whole kernel, whatever g.
        **kwargs: as of `lq.layers.QuantConv2D`.

    Raises:
        ValueError: for a kernel quantizer that is not this package's or scales kernels by their
            output channels, whose weights depend on g; for `groups`; at build, for choices that
            a file cannot have; see also `SparseBinaryConv2D`.

    Example:
        >>> layer = SearchableGroupsConv2D(
        ...     128, 3, padding="same", pad_values=1.0, input_quantizer="approx_sign")
        >>> layer.build((None, 8, 8, 128))
        >>> layer.choices, layer.chosen
        ((1, 2, 4), 1)
        >>> layer.choose(4)
        >>> layer.chosen
        4

    Reference: Phan et al., "Binarizing MobileNet via Evolution-based Searching", CVPR 2020,
    arXiv:2005.06305, of which the abstract was read: group convolutions in the place of
    depthwise ones, their numbers searched in a supernet. The mask is ours.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int] = 3,
        *,
        choices: str | Sequence[int] = "auto",
        shuffle: bool = True,
        codewords: int | None = None,
        kernel_quantizer: lq.quantizers.Quantizer | str | type | None = None,
        **kwargs: object,
    ) -> None:
        if kernel_quantizer is None and codewords is None:
            size = kernel_size if isinstance(kernel_size, int) else kernel_size[0]
            kernel_quantizer = OneBit(codebook.codebook_size(size))
        options: dict[str, Any] = {
            **kwargs,
            "codewords": codewords,
            "kernel_quantizer": kernel_quantizer,
        }
        super().__init__(filters, kernel_size, **options)
        self._asked: str | tuple[int, ...] = (
            choices if isinstance(choices, str) else tuple(choices)
        )
        self.shuffle = bool(shuffle)
        self.choices: tuple[int, ...] = ()
        self._check()

    def _check(self) -> None:
        quantizer, at = self.kernel_quantizer, f"(layer {self.name})"
        if not isinstance(quantizer, SubsetKernel):
            raise ValueError(
                "Expected a kernel quantizer of this package, got "
                f'{type(quantizer).__name__} {at}. Use kernel_quantizer="one_bit".'
            )
        if quantizer.standardize or quantizer.magnitude_scale or isinstance(quantizer, RBONN):
            raise ValueError(
                "Expected a kernel quantizer without scales, which depend on the groups, got "
                f"{type(quantizer).__name__} with standardize={quantizer.standardize}, "
                f"magnitude_scale={quantizer.magnitude_scale} {at}. Use one_bit without either."
            )
        if self.groups != 1:
            raise ValueError(f"Expected `choices` in the place of groups={self.groups} {at}.")
        if self._asked != "auto" and (
            isinstance(self._asked, str)
            or not self._asked
            or len(set(self._asked)) < len(self._asked)
            or not all(isinstance(g, int) and g > 0 for g in self._asked)
        ):
            raise ValueError(
                'Expected `choices` to be "auto" or different numbers of groups, got '
                f"{self._asked!r:.60} {at}."
            )

    def build(self, input_shape: tf.TensorShape) -> None:
        super().build(input_shape)
        channels = int(self.kernel.shape[2])
        possible = group_numbers(channels, self.filters)
        self.choices = possible if isinstance(self._asked, str) else self._asked
        wrong = [g for g in self.choices if g not in possible]
        if wrong:
            raise ValueError(
                f"Expected groups of a multiple of {WORD} channels, got {channels} -> "
                f"{self.filters} in {wrong[0]} groups (layer {self.name}). Use some of "
                f"{', '.join(map(str, possible))}."
            )
        self.choice = self.add_weight(
            name="choice",
            shape=(),
            dtype=tf.int64,
            initializer=keras.initializers.Constant(self.choices[0]),
            trainable=False,
            experimental_autocast=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    @property
    def chosen(self) -> int:
        """g, of the next call."""
        return int(keras.backend.get_value(self.choice))

    def choose(self, groups: int) -> None:
        """Sets g, eagerly, between two calls.

        Raises:
            ValueError: it is not one of the choices.
        """
        if groups not in self.choices:
            raise ValueError(
                f"Expected one of {', '.join(map(str, self.choices))} groups, got "
                f"{groups!r:.60} (layer {self.name})."
            )
        self.choice.assign(groups)

    def mask(self) -> tf.Tensor:
        """`mask_g`.

        Shape:
            -> boolean `[Cin, Cout]`.
        """
        channels, g = int(self.kernel.shape[2]), tf.convert_to_tensor(self.choice)
        size = channels // g
        i = tf.range(channels, dtype=tf.int64)
        j = (i % size) * g + i // size if self.shuffle else i
        o = tf.range(self.filters, dtype=tf.int64)
        return tf.equal((j // size)[:, None], (o // (self.filters // g))[None, :])

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return super().convolution_op(inputs, kernel * tf.cast(self.mask(), kernel.dtype))

    def sliced(self, kernel: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What the mask leaves, as a convolution of g groups has it.

        Shape:
            `[k, k, Cin, Cout]` -> `[k, k, Cin / g, Cout]`.
        """
        g = self.chosen
        order = shuffled_channels(kernel.shape[2], g if self.shuffle else 1)
        inputs = order.reshape(g, -1)
        outputs = np.arange(kernel.shape[3]).reshape(g, -1)
        parts = [kernel[:, :, i][..., o] for i, o in zip(inputs, outputs, strict=True)]
        return np.concatenate(parts, axis=3)

    def grouped(self) -> keras.layers.Layer:
        """A trainable layer of g groups in this one's place, still without its weights.

        A `SparseBinaryConv2D`; after a `ChannelShuffle`, a Sequential of both.
        """
        return self._shuffled(SparseBinaryConv2D.from_config(self._grouped_config(dict)))

    def copy_into(self, copy: keras.layers.Layer) -> None:
        """Sets the weights of what `grouped` made.

        Raises:
            ValueError: the state of the quantizer is that of kernels of another shape.
        """
        conv = copy.get_layer(self.name) if isinstance(copy, keras.Sequential) else copy
        with lq.context.quantized_scope(False):
            conv.kernel.assign(self.sliced(self.kernel.numpy()))
        if self.use_bias:
            conv.bias.assign(self.bias)
        states = zip(self.kernel_quantizer.weights, conv.kernel_quantizer.weights, strict=True)
        for state, of_copy in states:
            if state.shape != of_copy.shape:
                raise ValueError(
                    f"Expected a method without state for each kernel, got "
                    f"{type(self.kernel_quantizer).__name__} (layer {self.name}). Train the "
                    "network that was found from scratch."
                )
            of_copy.assign(state)

    def _grouped_config(self, configured: Callable[[Any], Any]) -> dict[str, Any]:
        own = ("choices", "shuffle")
        config = {k: v for k, v in configured(self.get_config()).items() if k not in own}
        return {**config, "groups": self.chosen}

    def _shuffled(self, conv: keras.layers.Layer) -> keras.layers.Layer:
        if not self.shuffle or self.chosen == 1:
            return conv
        return keras.Sequential(
            [ChannelShuffle(self.chosen, name=f"{self.name}_shuffle"), conv], name=self.name
        )

    def folded(self, configured: Callable[[Any], Any]) -> keras.layers.Layer:
        config = self._grouped_config(configured)
        config["kernel_quantizer"] = lq.quantizers.NoOp(precision=1)
        config["kernel_constraint"] = None
        return self._shuffled(lq.layers.QuantConv2D.from_config(config))

    def fold_into(
        self, copy: keras.layers.Layer, planes: Sequence[npt.NDArray[np.float32]]
    ) -> None:
        conv = copy.get_layer(self.name) if isinstance(copy, keras.Sequential) else copy
        conv.set_weights([*planes, *([self.bias.numpy()] if self.use_bias else [])])

    @property
    def extra_parameters(self) -> int:
        # All but the part of one choice, and the choice.
        return -int(np.prod(self.kernel.shape)) * (self.chosen - 1) // self.chosen - 1

    def file_selection(self, part: str) -> npt.NDArray[np.int64]:
        return np.asarray(self.kernel_quantizer.selection)

    def get_config(self) -> dict[str, Any]:
        asked = self._asked if isinstance(self._asked, str) else list(self._asked)
        return {**super().get_config(), "choices": asked, "shuffle": self.shuffle}
