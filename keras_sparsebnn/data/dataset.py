"""Images and labels in batches, for training and for tests.

The order of the training images is a pure function of (seed, epoch), and augmentation one of
(seed, epoch, position), so a run that was cut off goes on with exactly the next batch. Small
datasets are decoded once into memory; larger ones stream, and only a shuffle buffer is kept.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Literal

import numpy as np

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.data.augmentation import (
    crop_and_flip,
    draw_offsets,
    random_resized_crop,
    shift_and_flip,
)
from keras_sparsebnn.data.options import RESIZED_CROPS
from keras_sparsebnn.data.splits import Edit, Portion, Split
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["Dataset"]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images with labels, in a training and a test split.

    Attributes:
        name: as given to `load`.
        input_shape: height, width, channels.
        classes: how many.
        half_range: pixel values are `raw / half_range - 1`, so in [-1, 1].
        augmentation: one of `AUGMENTATIONS`, applied in training only.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    half_range: float
    augmentation: str
    _train: Split
    _test: Split

    @property
    def train_size(self) -> int:
        """Images in the training split."""
        return self._train.size

    @property
    def test_size(self) -> int:
        """Images in the test split."""
        return self._test.size

    def steps(self, batch_size: int) -> int:
        """Batches an epoch; images that do not fill a batch are not used in the epoch.

        Raises:
            SparseBNNError: not one batch can be filled.
        """
        if not 1 <= batch_size <= self.train_size:
            raise SparseBNNError(
                f"Expected a batch size in [1, {self.train_size}], got {batch_size} "
                f"(dataset {self.name})."
            )
        return self.train_size // batch_size

    def train(
        self,
        epoch: int,
        seed: int,
        batch_size: int,
        skip: int = 0,
        *,
        worker: int = 0,
        workers: int = 1,
        replicas: int = 1,
    ) -> tf.data.Dataset:
        """One epoch of training batches, without the first `skip`: a `tf.data.Dataset`.

        Args:
            epoch: decides the order and the augmentation, together with the seed.
            seed: see `epoch`.
            batch_size: of all workers and replicas together.
            skip: batches at the start that were trained on already.
            worker: which of the workers this is: it reads its slice of each batch.
            workers: how many there are.
            replicas: of all workers together; each gets `batch_size / replicas` images.

        Shape:
            -> `([batch_size / replicas, H, W, C]` float32 in [-1, 1], `[...]` int64`)`.

        Raises:
            SparseBNNError: not one batch can be filled, or it does not divide among replicas.
        """
        steps = self.steps(batch_size)
        if replicas % workers:
            raise SparseBNNError(
                f"Expected workers that have equally many replicas, got {replicas} replicas on "
                f"{workers} workers. Give each the same number of devices."
            )
        if batch_size % replicas:
            raise SparseBNNError(
                f"Expected a batch size that {replicas} replicas can share equally, got "
                f"{batch_size}. Use a multiple of {replicas}."
            )
        share = batch_size // workers
        portion = Portion(
            seed, epoch, skip, steps, batch_size, worker * share, (worker + 1) * share
        )
        local = batch_size // replicas
        edit = self._edit(portion) if self.augmentation in RESIZED_CROPS else None
        raw = self._train.batches(portion, local, edit)
        if edit is None and self.augmentation != "none":
            shape, count = self.input_shape, self.train_size
            offsets = draw_offsets(self.augmentation, seed, epoch, shape, count)
            drawn = offsets[portion.positions()]
            draws = tf.data.Dataset.from_tensor_slices(drawn).batch(local)
            cropped = self.augmentation in ("crop", "crop_flip")
            augment = crop_and_flip if cropped else shift_and_flip
            raw = tf.data.Dataset.zip((raw, draws)).map(
                lambda batch, draw: (augment(batch[0], draw), batch[1])
            )
        return self._finish(raw, local)

    def test(self, batch_size: int) -> tf.data.Dataset:
        """The test split in stored order, all of it: a `tf.data.Dataset`."""
        return self._finish(self._test.batches(None, batch_size, None), None)

    def as_dataset(
        self,
        split: Literal["train", "test"],
        batch_size: int = 32,
        *,
        seed: int = 0,
        first_epoch: int = 0,
    ) -> tf.data.Dataset:
        """A split for `model.fit` and `model.evaluate`, of known length.

        Each pass over the training split is an epoch of its own, with its own order and
        augmentation: the passes of `fit(..., epochs=5)` are `train(0, ...)` to `train(4, ...)`.

        Args:
            split: "train" or "test"; the latter always comes whole and in stored order.
            batch_size: images a batch; an epoch of training uses full batches only.
            seed: decides order and augmentation, with the epoch.
            first_epoch: of the first pass; give `fit` the same `initial_epoch` to go on.

        Shape:
            -> `([B, H, W, C]` float32 in [-1, 1], `[B]` int64`)`.

        Raises:
            SparseBNNError: no such split, or not one batch can be filled.

        Example:
            >>> from keras_sparsebnn.data import load
            >>> batches = load("digits").as_dataset("train", 100)
            >>> int(batches.cardinality())
            14
        """
        if split not in ("train", "test"):
            raise SparseBNNError(f'Expected `split` to be "train" or "test", got {split!r}.')
        if split == "test":
            if batch_size < 1:
                raise SparseBNNError(f"Expected a batch size of at least 1, got {batch_size}.")
            steps = -(-self.test_size // batch_size)
            return self.test(batch_size).apply(tf.data.experimental.assert_cardinality(steps))
        epochs = itertools.count(first_epoch)

        def next_epoch() -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
            yield from self.train(next(epochs), seed, batch_size)

        steps = self.steps(batch_size)
        signature = (
            tf.TensorSpec([batch_size, *self.input_shape], tf.float32),
            tf.TensorSpec([batch_size], tf.int64),
        )
        # A generator starts anew with each pass, which is when the next epoch is due.
        batches = tf.data.Dataset.from_generator(next_epoch, output_signature=signature)
        return batches.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2)

    def check_fits(self, model: keras.Model, role: str, where: str = "") -> None:
        """Makes sure that a model maps one of these images to one logit a class.

        Args:
            model: functional or Sequential; networks that take any size are fine.
            role: what to call it in the message: "teacher", "network".
            where: its file, for the message.

        Raises:
            SparseBNNError: it does not.
        """
        shapes = [tuple(t.shape) for t in (*model.inputs, *model.outputs)]
        expected = [(None, *self.input_shape), (None, self.classes)]
        if len(shapes) != 2 or not all(
            len(a) == len(b) and all(x in (None, y) for x, y in zip(a, b, strict=True))
            for a, b in zip(shapes, expected, strict=True)
        ):
            inputs = " and ".join(str(shape[1:]) for shape in shapes[: len(model.inputs)])
            outputs = " and ".join(str(shape[1:]) for shape in shapes[len(model.inputs) :])
            raise SparseBNNError(
                f"Expected a {role} from {expected[0][1:]} to {expected[1][1:]}, got one from "
                f"{inputs} to {outputs}{f' ({where})' if where else ''}."
            )

    def _edit(self, portion: Portion) -> Edit:
        key = np.random.SeedSequence((*portion.key, 2)).generate_state(1)[0] >> 1
        lighting = self.augmentation == "resized_crop_lighting"

        def edit(image: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
            seed = tf.stack([tf.constant(int(key), tf.int64), tf.cast(position, tf.int64)])
            return random_resized_crop(image, seed, self.input_shape, lighting=lighting)

        return edit

    def _finish(self, raw: tf.data.Dataset, batch_size: int | None) -> tf.data.Dataset:
        def scale(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = tf.cast(images, tf.float32) / self.half_range - 1.0
            images = tf.ensure_shape(images, [batch_size, *self.input_shape])
            return images, tf.ensure_shape(tf.cast(labels, tf.int64), [batch_size])

        options = tf.data.Options()
        options.deterministic = True
        # If a strategy splits the data itself, then by images: there may be only one file.
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return raw.map(scale).prefetch(2).with_options(options)
