"""Trains a tiny sparse model under a strategy and writes what each replica selected.

    python train_distributed.py none|mirrored|multiworker OUT.npz

`multiworker` reads TF_CONFIG, as TensorFlow does.
"""

import sys

import numpy as np

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.models import small
from keras_sparsebnn.quantizers import SparseKernel


def replica_values(variable):
    components = getattr(variable, "values", None)
    if callable(components) or components is None:
        return [variable.numpy()]
    return [component.numpy() for component in components]


def main(kind, out):
    if kind == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    elif kind == "multiworker":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.get_strategy()
    keras.utils.set_random_seed(7)
    with strategy.scope():
        model = small(
            (8, 8, 1),
            4,
            widths=(8, 16),
            kernel_quantizer=lambda n: SparseKernel(
                32, noise_scale=1.0, logit_scale=0.1, logits="free"
            ),
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
        for name in ("selection", "training_selection", "step", "logits"):
            for replica, value in enumerate(replica_values(getattr(quantizer, name))):
                results[f"{name}{index}@{replica}"] = value
    np.savez(out, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
