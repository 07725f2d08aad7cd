"""Binary convolutions, and the activations around them."""

from keras_sparsebnn.activations import HardTanh, LearnableShift, RPReLU, TwoSidedPReLU
from keras_sparsebnn.layers.adabin import AdaBinConv2D
from keras_sparsebnn.layers.channel_shift import ChannelShift
from keras_sparsebnn.layers.channel_shuffle import ChannelShuffle
from keras_sparsebnn.layers.dynamic_embedding import DynamicEmbedding
from keras_sparsebnn.layers.folded_conv2d import FoldedConv2D
from keras_sparsebnn.layers.multi_bit import MultiBitConv2D
from keras_sparsebnn.layers.pad_channels import PadChannels
from keras_sparsebnn.layers.searchable_groups import SearchableGroupsConv2D
from keras_sparsebnn.layers.sparse_binary_conv2d import SparseBinaryConv2D
from keras_sparsebnn.layers.thermometer import Thermometer
from keras_sparsebnn.quantizers import sparse_quantizer

__all__ = [
    "AdaBinConv2D",
    "ChannelShift",
    "ChannelShuffle",
    "DynamicEmbedding",
    "FoldedConv2D",
    "HardTanh",
    "LearnableShift",
    "MultiBitConv2D",
    "PadChannels",
    "RPReLU",
    "SearchableGroupsConv2D",
    "SparseBinaryConv2D",
    "Thermometer",
    "TwoSidedPReLU",
    "sparse_quantizer",
]
