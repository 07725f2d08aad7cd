"""Compresses a trained 1-bit larq model below one bit a weight: restrict, train on, convert.

    python examples/restrict_larq_model.py --out small.tflite       # first trains one on digits
    python examples/restrict_larq_model.py --model mine.keras --data my.npz --out small.tflite

`mine.keras` (or `.h5`) is any Sequential or functional model of larq layers whose outputs are
logits. `my.npz` holds the arrays x_train, y_train, x_test, y_test: inputs as the model takes
them, labels [N] from 0. Needs `pip install 'keras-sparsebnn[convert]'`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # larq needs Keras 2, before TensorFlow loads

import larq as lq
import numpy as np
import tensorflow as tf
from digits import digits

import keras_sparsebnn as ksb
from keras_sparsebnn.saved_models import load_model


def larq_model(shape: tuple[int, ...], classes: int) -> tf.keras.Model:
    """A network of larq alone, as one would have trained it before."""
    layers = tf.keras.layers
    binary = {
        "padding": "same",
        "pad_values": 1.0,
        "input_quantizer": "ste_sign",
        "kernel_quantizer": "ste_sign",
        "kernel_constraint": "weight_clip",
        "use_bias": False,
    }
    return tf.keras.Sequential(
        [
            layers.Conv2D(32, 3, padding="same", use_bias=False, input_shape=shape),
            layers.BatchNormalization(momentum=0.9),
            lq.layers.QuantConv2D(64, 3, **binary),
            layers.BatchNormalization(momentum=0.9),
            lq.layers.QuantConv2D(64, 3, **binary),
            layers.BatchNormalization(momentum=0.9),
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes),
        ]
    )


def train(model: tf.keras.Model, data: dict[str, np.ndarray], epochs: int, rate: float) -> None:
    model.compile(
        tf.keras.optimizers.Adam(rate),
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(data["x_train"], data["y_train"], epochs=epochs, verbose=2)


def accuracy(logits: np.ndarray, data: dict[str, np.ndarray]) -> float:
    return float(np.mean(logits.argmax(axis=-1) == data["y_test"]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=Path, help="a trained 1-bit model; left out: one on digits"
    )
    parser.add_argument(
        "--data", type=Path, help="an .npz file; scikit-learn's digits if left out"
    )
    parser.add_argument("--codewords", type=int, default=16, help="n, a power of two (16)")
    parser.add_argument(
        "--epochs", type=int, default=15, help="of the 1-bit model, if trained (15)"
    )
    parser.add_argument("--fine-tune", type=int, default=5, help="epochs after restricting (5)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the .tflite to write")
    args = parser.parse_args()

    tf.keras.utils.set_random_seed(args.seed)
    data = dict(np.load(args.data, allow_pickle=False)) if args.data else digits()
    if args.model:
        model = load_model(Path(args.model))
    else:
        model = larq_model(data["x_train"].shape[1:], int(data["y_train"].max()) + 1)
        train(model, data, args.epochs, 3e-3)

    restricted = ksb.restrict(model, args.codewords)
    at_once = accuracy(restricted.predict(data["x_test"], verbose=0), data)
    train(restricted, data, args.fine_tune, 1e-3)
    print(ksb.summary(restricted))

    files = {
        "1 bit": ksb.converters.convert_keras_model(model),
        f"{args.codewords} codewords, sub-bit": ksb.converters.convert_keras_model(
            restricted, "subbit"
        ),
    }
    args.out.write_bytes(files[f"{args.codewords} codewords, sub-bit"])
    print(f"Right after restricting, without training on: {at_once:.1%} of the test images.")
    for name, flat in files.items():
        logits = ksb.runtime.Interpreter(flat).predict(data["x_test"])
        filters = sum(x.filter_bytes for x in ksb.converters.inspect(flat).binary_layers)
        print(
            f"{name}: {accuracy(logits, data):.1%}, {len(flat):,} bytes, {filters:,} of filters"
        )
    print(f"Next: python examples/deploy.py {args.out} IMAGE")


if __name__ == "__main__":
    main()
