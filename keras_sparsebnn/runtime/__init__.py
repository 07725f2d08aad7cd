"""Runs and times `.tflite` files without TensorFlow.

Needs NumPy and one interpreter: LiteRT, tflite-runtime or tf.lite, to which the native
delegate adds LCE's and the sub-bit ops; or LCE's own. Interpreters load when a model does.
"""

from keras_sparsebnn._rules import RUNTIMES
from keras_sparsebnn.runtime.backend import TensorInfo
from keras_sparsebnn.runtime.benchmark import Timing, benchmark
from keras_sparsebnn.runtime.delegate import delegate_library
from keras_sparsebnn.runtime.interpreter import Interpreter
from keras_sparsebnn.runtime.model_file import custom_ops, read_model
from keras_sparsebnn.runtime.profiling import NodeTiming, profile

__all__ = [
    "RUNTIMES",
    "Interpreter",
    "NodeTiming",
    "TensorInfo",
    "Timing",
    "benchmark",
    "custom_ops",
    "delegate_library",
    "profile",
    "read_model",
]
