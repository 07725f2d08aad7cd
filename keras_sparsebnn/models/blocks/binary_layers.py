"""The binary convolutions of a network, binarised as the builder's arguments say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import (
    ChannelShuffle,
    MultiBitConv2D,
    SearchableGroupsConv2D,
    SparseBinaryConv2D,
)
from keras_sparsebnn.models.blocks.layer_groups import LayerGroups
from keras_sparsebnn.quantizers import (
    KernelQuantizer,
    OddIntegers,
    OneBit,
    SubsetKernel,
    make_quantizer,
)
from keras_sparsebnn.quantizers.layer_codewords import LayerCodewords

__all__ = ["BinaryLayers", "KernelQuantizer", "with_options"]


def with_options(
    kernel_quantizer: KernelQuantizer,
    size: int,
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> Callable[[int], lq.quantizers.Quantizer | None]:
    """What makes the same quantizers with some options changed.

    Args:
        kernel_quantizer: see `KernelQuantizer`; in place of larq's signs there is `OneBit`.
        size: of the whole codebook, for `OneBit`.
        change: from a quantizer's configuration to what is to be different in it.
    """

    def make(codewords: int) -> lq.quantizers.Quantizer | None:
        quantizer = make_quantizer(kernel_quantizer, codewords)
        if quantizer is None:
            return None
        if not isinstance(quantizer, SubsetKernel):
            quantizer = OneBit(size)
        config = quantizer.get_config()
        changed = change(config)
        return type(quantizer).from_config({**config, **changed}) if changed else quantizer

    return make


ONE_BIT = (1, 1, "symmetric")
"""What `BinaryLayers` makes by default: bits of inputs and weights, and the range of inputs."""


def _multi_bit(bits: tuple[int, int, str]) -> Callable[..., keras.layers.Layer]:
    activation_bits, weight_bits, activation_range = bits
    return partial(
        MultiBitConv2D,
        activation_bits=activation_bits,
        weight_bits=weight_bits,
        activation_range=activation_range,
    )


class BinaryLayers:
    """Makes the binary convolutions of one network.

    Args:
        codewords: n, or a mapping of layer names and patterns, see `LayerCodewords`.
        kernel_quantizer: see `KernelQuantizer`.
        activation_quantizer: binarises the input of every layer; None for ReLU, so a float
            network.
        convolution: the layer of binary inputs and kernels, called as `SparseBinaryConv2D`.
        bits: of inputs, of weights, and the range of inputs. With others than `ONE_BIT` all
            layers are `MultiBitConv2D`; inputs of more bits, or of the range "unit", have
            `OddIntegers` in place of `activation_quantizer`.
        groups: of each layer, whose channels are shuffled before its sign; if None, what `conv`
            is told. Where they are searched, binary layers are `SearchableGroupsConv2D`, all
            others have one group.

    Use it as a context manager: on exit it checks that every key of `codewords` and `groups`
    was used.

    Raises:
        SparseBNNError: for groups that are searched, with more bits than one.
    """

    def __init__(
        self,
        codewords: int | Mapping[str, int],
        kernel_quantizer: KernelQuantizer,
        activation_quantizer: lq.quantizers.Quantizer | str | None,
        *,
        convolution: Callable[..., keras.layers.Layer] = SparseBinaryConv2D,
        bits: tuple[int, int, str] = ONE_BIT,
        groups: LayerGroups | None = None,
    ) -> None:
        if groups is not None and groups.searched:
            if bits != ONE_BIT:
                raise SparseBNNError(
                    'Expected one bit with groups="search", got activation_bits='
                    f"{bits[0]}, weight_bits={bits[1]}, activation_range={bits[2]!r}."
                )
            convolution = SearchableGroupsConv2D
        self._groups = groups
        self._codewords = LayerCodewords(codewords)
        self._convolution = convolution if bits == ONE_BIT else _multi_bit(bits)
        self._bits = bits
        self._kernel_quantizer = kernel_quantizer
        self.activation_quantizer = activation_quantizer

    def __enter__(self) -> BinaryLayers:
        return self

    def __exit__(self, exception: type[BaseException] | None, *_: object) -> None:
        if exception is None:
            self._codewords.check_every_key_was_used()
            if self._groups is not None:
                self._groups.check_all_were_used()

    def _input_quantizer(self) -> lq.quantizers.Quantizer | str | None:
        bits, _, value_range = self._bits
        if self.activation_quantizer is None or (bits, value_range) == (1, "symmetric"):
            return self.activation_quantizer
        return OddIntegers(bits, value_range=value_range)

    def conv(
        self,
        x: tf.Tensor,
        filters: int,
        kernel_size: int = 3,
        *,
        name: str,
        strides: int = 1,
        groups: int = 1,
        scaled: bool = False,
        activation: str | None = None,
    ) -> tf.Tensor:
        """sign -> binary convolution; or ReLU -> convolution where activations are float.

        With `scaled`, kernels have the scale `mean |W_o|` of their output channel, which is for
        convolutions that something is added to before a batch norm.

        Padding is with +1 where activations are binary, which LCE folds into the convolution;
        with 0 where they are from 0 to 1.
        A codebook of fewer than n patterns (1x1 kernels have two) is used whole, so such
        layers are plain 1-bit, and no key of `codewords` is for them.

        Shape:
            `[B, H, W, C]` -> `[B, H / strides, W / strides, filters]`.

        Raises:
            SparseBNNError: for groups whose channels are not a multiple of 32; see
                `LayerCodewords` for the rest.
        """
        binary = self.activation_quantizer is not None
        channels = int(x.shape[-1])
        if self._groups is not None:
            groups = self._groups(name)
        if groups > 1 and (channels % (32 * groups) or filters % groups):
            raise SparseBNNError(
                f"Expected groups of a multiple of 32 channels, got {channels} -> {filters} in "
                f"{groups} groups (layer {name}). Use fewer groups or a larger width."
            )
        if self._groups is not None and groups > 1:
            x = ChannelShuffle(groups, name=f"{name}_shuffle")(x)
        size = codebook.codebook_size(kernel_size)
        n = self._codewords(name) if kernel_size == 3 else size
        make = self._kernel_quantizer
        if scaled:
            make = with_options(make, size, lambda config: {"magnitude_scale": True})
        quantizer = make_quantizer(make, n)
        options: dict[str, Any] = {
            "strides": strides,
            "groups": groups,
            "padding": "same",
            "activation": activation,
            "use_bias": False,
            "name": name,
        }
        if not binary:
            x = keras.layers.ReLU(name=f"{name}_relu")(x)
            if quantizer is None:
                return keras.layers.Conv2D(filters, kernel_size, **options)(x)
        signed = binary and self._bits[2] == "symmetric"
        options["pad_values"] = 1.0 if signed else 0.0
        options["input_quantizer"] = self._input_quantizer()
        if quantizer is None:
            return lq.layers.QuantConv2D(filters, kernel_size, **options)(x)
        convolution = self._convolution if binary else SparseBinaryConv2D
        return convolution(filters, kernel_size, kernel_quantizer=quantizer, **options)(x)
