"""Trains a tiny sparse model on several workers and writes what this one selected.

    python train_distributed.py OUT.npz LOGITS

One of the workers that TF_CONFIG tells of.
"""

import sys

import numpy as np

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.models import small
from keras_sparsebnn.quantizers import SparseKernel

OPTIONS = {
    "free": {"noise_scale": 1.0, "logit_scale": 0.1},
    "structured": {"travel": 16.0, "freeze_step": 8, "refresh_interval": 1},
}
STATE = {
    "free": ("selection", "step", "training_selection", "logits"),
    "structured": ("selection", "step", "positions", "square"),
}


def main(out, logits):
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    keras.utils.set_random_seed(7)
    with strategy.scope():
        model = small(
            (8, 8, 1),
            4,
            widths=(8, 16),
            kernel_quantizer=lambda n: SparseKernel(32, logits=logits, **OPTIONS[logits]),
        )
        model.compile(
            keras.optimizers.Adam(0.05),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    quantizers = [
        layer.kernel_quantizer for layer in model.layers if hasattr(layer, "kernel_quantizer")
    ]
    initial = [quantizer.selection.numpy() for quantizer in quantizers]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8, 8, 1)).astype(np.float32)
    y = rng.integers(0, 4, 64)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(16).with_options(options)
    model.fit(batches, epochs=2, verbose=0)
    results = {"replicas": strategy.num_replicas_in_sync}
    for index, quantizer in enumerate(quantizers):
        results[f"initial{index}"] = initial[index]
        for name in STATE[logits]:
            results[f"{name}{index}"] = getattr(quantizer, name).numpy()
    np.savez(out, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
