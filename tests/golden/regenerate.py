"""Writes the golden files anew: python tests/golden/regenerate.py

lce_selected.tflite  two binary 3x3 layers, one hands bits to the other; from this package.
subbit_v1.tflite     that file in version 1 of the sub-bit format, see converters/FORMAT.md.
float_only.tflite    a plain float convolution; from TensorFlow's converter, no LCE operator.

The bytes may change with the versions of TensorFlow and LCE; what the tests assert may not.
From the lce_selected.tflite that is here, subbit_v1.tflite must always come out the same:

    python tests/golden/regenerate.py --only subbit_v1
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.converters import compress, convert_keras_model
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.quantizers import FixedSubset

FOLDER = Path(__file__).parent


def lce_selected() -> bytes:
    """32 -> 32 -> 32 channels on 4x4 images, 8 codewords in each layer."""
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Input((4, 4, 32))]
    for index in range(2):
        layers += [
            SparseBinaryConv2D(
                32,
                3,
                kernel_quantizer=FixedSubset(8, seed=index),
                padding="same",
                pad_values=1.0,
                input_quantizer="ste_sign",
                use_bias=False,
                name=f"binary{index}",
            ),
            keras.layers.BatchNormalization(name=f"bn{index}"),
        ]
    return convert_keras_model(keras.Sequential(layers, name="golden"))


def float_only() -> bytes:
    """One 3x3 convolution, 1 -> 2 channels."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((4, 4, 1)), keras.layers.Conv2D(2, 3)])
    return bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def subbit_v1() -> bytes:
    """What `compress` makes of lce_selected.tflite."""
    return compress((FOLDER / "lce_selected.tflite").read_bytes())


MAKERS = {make.__name__: make for make in (lce_selected, subbit_v1, float_only)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=MAKERS, help="leave the others as they are")
    chosen = parser.parse_args().only
    for name, make in MAKERS.items():
        if chosen in (None, name):
            (FOLDER / f"{name}.tflite").write_bytes(make())
