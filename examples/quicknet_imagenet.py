"""Compresses larq-zoo's QuickNet, trained on ImageNet, below one bit a weight.

    python examples/quicknet_imagenet.py --weights quicknet_weights.h5 --images imagenet/ \\
        --codewords 16 --epochs 5 --out quicknet.tflite

`quicknet_weights.h5` is larq-zoo's published file, to be downloaded once: of the release
`quicknet-v1.0` of larq/zoo on GitHub, SHA-256
8aba9e4e5f8d342faef04a0b2ae8e562da57dbb7d15162e8b3e091c951ba756c. Without --weights the network
is random, to try things out.

`imagenet/` has a folder for each split, in it one for each class: `train/n01440764/x.JPEG`,
`val/n01440764/y.JPEG`. Classes count in the order of their names, which is larq-zoo's. Other
classes than ImageNet's 1000 work, too: then the last layer is trained anew.

Restricts each binary layer to n codewords, trains on with the images, converts, and measures
the accuracy of the file. Needs `pip install 'keras-sparsebnn[convert]'`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # larq needs Keras 2, before TensorFlow loads

import larq as lq
import numpy as np
import tensorflow as tf

import keras_sparsebnn as ksb

SIZE = 224
PUBLISHED_CLASSES = 1000
# The published networks: blocks and channels of each section.
SECTIONS = {
    "quicknet": ((4, 4, 4, 4), (64, 128, 256, 512)),
    "quicknet_small": ((4, 4, 4, 4), (32, 64, 256, 512)),
    "quicknet_large": ((6, 8, 12, 6), (64, 128, 256, 512)),
}
# ImageNet's, of pixels from 0 to 255, which the published weights were trained with.
MEAN = (123.675, 116.28, 103.53)
DEVIATION = (58.395, 57.12, 57.375)


def quicknet(name: str, classes: int) -> tf.keras.Model:
    """larq-zoo's network of that name, up to the logits; layer by layer, so its weights fit.

    Reference: Bannink et al., "Larq Compute Engine", MLSys 2021, arXiv:2011.09398. The layers
    are those of larq-zoo 2.x, `larq_zoo.sota.QuickNet`.
    """
    layers = tf.keras.layers
    blocks, widths = SECTIONS[name]

    def normalized(x: tf.Tensor, **options: object) -> tf.Tensor:
        return layers.BatchNormalization(**options)(x)

    images = layers.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(widths[0] // 4, 3, strides=2, padding="same", use_bias=False)(images)
    x = layers.ReLU()(normalized(x))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
    x = normalized(x, scale=False, center=False)
    x = normalized(layers.Conv2D(widths[0], 1, use_bias=False)(x))
    section = {"momentum": 0.9, "epsilon": 1e-5}
    for depth, width in zip(blocks, widths, strict=True):
        if width != x.shape[-1]:
            x = layers.ReLU()(x)
            x = layers.MaxPooling2D(2, strides=1)(x)
            # A fixed blur, which the weights file holds.
            x = layers.DepthwiseConv2D(
                3, strides=2, padding="same", use_bias=False, trainable=False
            )(x)
            x = normalized(layers.Conv2D(width, 1, use_bias=False)(x), **section)
        for _ in range(depth):
            y = lq.layers.QuantConv2D(
                width,
                3,
                input_quantizer=lq.quantizers.SteSign(clip_value=1.25),
                kernel_quantizer=lq.quantizers.SteSign(clip_value=1.25),
                kernel_constraint=lq.constraints.WeightClip(clip_value=1.25),
                activation="relu",
                padding="same",
                pad_values=1.0,
                use_bias=False,
            )(x)
            x = layers.Add()([normalized(y, **section), x])
    x = layers.ReLU()(x)
    x = layers.Flatten()(layers.AveragePooling2D(x.shape[1])(x))
    return tf.keras.Model(images, layers.Dense(classes)(x), name=name)


def trained(name: str, weights: Path | None, classes: int) -> tf.keras.Model:
    """The network with the published weights; its last layer is new for other classes."""
    if weights is None:
        return quicknet(name, classes)
    published = quicknet(name, PUBLISHED_CLASSES)
    try:
        published.load_weights(weights)
    except (OSError, ValueError) as error:
        raise SystemExit(
            f"Expected the weights of larq-zoo's {name}, got another file ({weights}: "
            f"{str(error)[:120]}). Check --weights and --network."
        ) from error
    if classes == PUBLISHED_CLASSES:
        return published
    model = quicknet(name, classes)
    model.set_weights([*published.get_weights()[:-2], *model.get_weights()[-2:]])
    return model


def listed(folder: Path) -> tuple[list[str], list[int], int]:
    """The images of a split, their classes by number, and how many classes there are."""
    classes = sorted(path for path in folder.glob("*") if path.is_dir())
    files = [
        (str(path), number)
        for number, each in enumerate(classes)
        for path in sorted(each.iterdir())
        if path.suffix.lower() in (".jpeg", ".jpg", ".png")
    ]
    if not files:
        raise SystemExit(f"Expected a folder of images for each class, found none ({folder}).")
    paths, labels = zip(*files, strict=True)
    return list(paths), list(labels), len(classes)


def read(path: tf.Tensor, label: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """One image as the network takes it.

    For training a random part of 8 to 100 % of the area, mirrored at random; else the centre,
    224 of 256 parts of the shorter side.
    """
    image = tf.io.decode_image(tf.io.read_file(path), 3, expand_animations=False)
    shape = tf.shape(image)
    if training:
        begin, extent, _ = tf.image.sample_distorted_bounding_box(
            shape,
            tf.zeros([1, 0, 4]),
            seed=1,  # which deterministic ops need
            min_object_covered=0,
            area_range=(0.08, 1),
            use_image_if_no_bounding_boxes=True,
        )
        image = tf.image.random_flip_left_right(tf.slice(image, begin, extent))
    else:
        side = tf.reduce_min(shape[:2]) * SIZE // 256
        corner = (shape[:2] - side) // 2
        image = tf.image.crop_to_bounding_box(image, corner[0], corner[1], side, side)
    image = tf.image.resize(image, [SIZE, SIZE], "bicubic")
    return (image - MEAN) / DEVIATION, label


def batches(folder: Path, size: int, training: bool) -> tf.data.Dataset:
    """A split, for `fit` in a new order each epoch."""
    paths, labels, _ = listed(folder)
    data = tf.data.Dataset.from_tensor_slices((paths, labels))
    if training:
        data = data.shuffle(len(paths))
    data = data.map(lambda path, label: read(path, label, training), tf.data.AUTOTUNE)
    return data.batch(size).prefetch(2)


def accuracy(predict: object, data: tf.data.Dataset) -> float:
    """The share of images whose largest logit is their class's."""
    right = [predict(x.numpy()).argmax(axis=-1) == y.numpy() for x, y in data]  # type: ignore[operator]
    return float(np.mean(np.concatenate(right)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=SECTIONS, default="quicknet")
    parser.add_argument("--weights", type=Path, help="larq-zoo's file; random if left out")
    parser.add_argument("--images", type=Path, required=True, help="has train/ and val/")
    parser.add_argument("--codewords", type=int, default=16, help="n, a power of two (16)")
    parser.add_argument("--epochs", type=int, default=5, help="after restricting (5)")
    parser.add_argument("--batch", type=int, default=64, help="images a step (64)")
    parser.add_argument("--rate", type=float, default=1e-3, help="of Adam, a cosine (0.001)")
    parser.add_argument("--verify", type=int, default=4, help="images to compare with Keras")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the .tflite to write")
    args = parser.parse_args()

    tf.keras.utils.set_random_seed(args.seed)
    paths, _, classes = listed(args.images / "train")
    held_out = batches(args.images / "val", args.batch, training=False)
    model = trained(args.network, args.weights, classes)
    before = accuracy(lambda x: model.predict(x, verbose=0), held_out)
    print(f"{args.network}, 1 bit: {before:.1%} of the validation images.")

    restricted = ksb.restrict(model, args.codewords)
    steps = args.epochs * -(-len(paths) // args.batch)
    restricted.compile(
        tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(args.rate, steps)),
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    data = batches(args.images / "train", args.batch, training=True)
    restricted.fit(data, epochs=args.epochs, verbose=2)
    print(ksb.summary(restricted))

    one_bit = ksb.converters.convert_keras_model(model)
    plain = ksb.converters.convert_keras_model(restricted)
    flat = ksb.converters.convert_file(plain, "subbit", weights="int8")
    some = next(iter(held_out))[0].numpy()[: args.verify]
    print(ksb.converters.verify(restricted, flat, some))
    args.out.write_bytes(flat)
    after = accuracy(ksb.runtime.Interpreter(flat).predict, held_out)
    print(
        f"1 bit, LCE: {len(one_bit):,} bytes. {args.codewords} codewords, sub-bit, other "
        f"weights int8: {len(flat):,} bytes, {after:.1%} of the validation images."
    )
    print(f"It takes pixels from 0 to 255, minus {MEAN}, divided by {DEVIATION}.")


if __name__ == "__main__":
    main()
