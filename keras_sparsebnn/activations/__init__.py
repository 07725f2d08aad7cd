"""Per-channel activations that binary networks put around their convolutions."""

from keras_sparsebnn.activations.ftbnn import HardTanh, TwoSidedPReLU
from keras_sparsebnn.activations.reactnet import LearnableShift, RPReLU

__all__ = ["HardTanh", "LearnableShift", "RPReLU", "TwoSidedPReLU"]
