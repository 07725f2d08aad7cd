"""The light half: runs and times `.tflite` files without TensorFlow.

Needs NumPy and one interpreter: LCE's for files with LCE's custom ops, LiteRT (or
tflite-runtime) for stock ones. Interpreters load when a model does.
"""

from keras_sparsebnn.runtime.benchmark import Timing, benchmark
from keras_sparsebnn.runtime.flatbuffer import custom_ops, read_model
from keras_sparsebnn.runtime.interpreter import RUNTIMES, Interpreter

__all__ = ["RUNTIMES", "Interpreter", "Timing", "benchmark", "custom_ops", "read_model"]
