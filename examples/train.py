"""Trains a network of your own with n codewords a layer and writes a checked `.tflite`.

    python examples/train.py --out model.tflite                  # scikit-learn's digits
    python examples/train.py --data images.npz --epochs 20 --out model.tflite

`images.npz` holds the arrays x_train, y_train, x_test, y_test: images [N, H, W, C] in 0..255,
labels [N] from 0. Needs `pip install 'keras-sparsebnn[convert]'`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # larq needs Keras 2, before TensorFlow loads

import numpy as np
import tensorflow as tf
from digits import digits

import keras_sparsebnn as ksb


def network(shape: tuple[int, ...], classes: int, codewords: int) -> tf.keras.Model:
    """A float stem, two binary layers that choose their codewords, a float classifier.

    `pad_values=1.0` pads with ones, which is what LCE computes without further operators.
    """
    layers = tf.keras.layers
    binary = {
        "codewords": codewords,
        "padding": "same",
        "pad_values": 1.0,
        "input_quantizer": "approx_sign",
        "use_bias": False,
    }
    return tf.keras.Sequential(
        [
            layers.Conv2D(32, 3, padding="same", use_bias=False, input_shape=shape),
            layers.BatchNormalization(momentum=0.9),
            ksb.layers.SparseBinaryConv2D(64, 3, **binary),
            layers.BatchNormalization(momentum=0.9),
            ksb.layers.SparseBinaryConv2D(64, 3, **binary),
            layers.BatchNormalization(momentum=0.9),
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes),
        ]
    )


def images(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, images in [-1, 1]."""
    data = dict(np.load(path, allow_pickle=False))
    for name in ("x_train", "x_test"):
        data[name] = (data[name] / 127.5 - 1).astype("float32")
    return data


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="an .npz file; scikit-learn's digits if left out"
    )
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--codewords", type=int, default=32, help="n, a power of two (32)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the .tflite to write")
    args = parser.parse_args()

    tf.keras.utils.set_random_seed(args.seed)
    data = images(args.data) if args.data else digits()
    x_train, y_train = data["x_train"], data["y_train"]
    x_test, y_test = data["x_test"], data["y_test"]

    model = network(x_train.shape[1:], int(y_train.max()) + 1, args.codewords)
    model.compile(
        tf.keras.optimizers.Adam(3e-3),
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        x_train,
        y_train,
        epochs=args.epochs,
        validation_data=(x_test, y_test),
        # Codewords are exchanged in the first half; in the second, kernels settle on them.
        callbacks=[ksb.training.SelectionSchedule(freeze_after=0.5)],
        verbose=2,
    )
    print(ksb.summary(model))
    model.save(args.out.with_suffix(".keras"))

    flat = ksb.converters.convert_keras_model(model)
    print(ksb.converters.verify(model, flat, x_test))
    small = ksb.converters.convert_file(flat, "subbit", weights="int8")
    args.out.write_bytes(small)
    print(f"LCE file: {len(flat):,} bytes.")
    print(f"{args.out}: {len(small):,} bytes, sub-bit, int8 weights.")
    print(f"Next: python examples/deploy.py {args.out} IMAGE")


if __name__ == "__main__":
    main()
