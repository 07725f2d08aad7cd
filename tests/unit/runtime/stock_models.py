"""Models of stock TFLite ops, made by TensorFlow, and the interpreter that runs them."""

from __future__ import annotations

from keras_sparsebnn.runtime.stock_backend import import_stock

STOCK = import_stock()[0]


def stock(function, *shapes: tuple[int, ...]) -> bytes:
    """A stock .tflite of a function of float32 tensors."""
    from keras_sparsebnn._keras import tf

    module = tf.Module()  # gives the file a signature
    module.function = tf.function(function)
    concrete = module.function.get_concrete_function(
        *(tf.TensorSpec(shape, tf.float32, name=f"x{i}") for i, shape in enumerate(shapes))
    )
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()
