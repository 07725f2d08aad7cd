"""Trains on two replicas with and without constraints; prints the warnings of each as JSON.

python train_mirrored.py
"""

import json
import warnings

import numpy as np

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.quantizers import SNN, SparseKernel

QUANTIZERS = {
    "learned": lambda: SparseKernel(
        16, seed=1, logits="free", logit_scale=0.01, temperature=1.0
    ),
    "snn": lambda: SNN(16, seed=1, refinement_interval=1, pattern_scale=0.01),
}


class WithoutConstraints(keras.optimizers.SGD):
    """Updates, and nothing after that."""

    def apply_gradients(self, grads_and_vars, **options):
        pairs = self.aggregate_gradients(list(grads_and_vars))
        with tf.init_scope():
            self.build([variable for _, variable in pairs])
        self._compute_current_learning_rate()
        return self._internal_apply_gradients(pairs)


def caught(strategy, make, optimizer):
    """Texts of the warnings in training, evaluation and saving."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with strategy.scope():
            model = keras.Sequential(
                [
                    keras.layers.Input((6, 6, 8)),
                    lq.layers.QuantConv2D(
                        16,
                        3,
                        input_quantizer="ste_sign",
                        kernel_quantizer=make(),
                        kernel_constraint="weight_clip",
                    ),
                    keras.layers.GlobalAveragePooling2D(),
                    keras.layers.Dense(2),
                ]
            )
            model.compile(
                optimizer(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            )
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(16, 6, 6, 8)).astype(np.float32), rng.integers(0, 2, 16)
        model.fit(x, y, batch_size=4, epochs=1, verbose=0)
        model.evaluate(x, y, verbose=0)
        model.get_config()
    return [str(warning.message) for warning in found]


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    report = {
        "with": caught(strategy, QUANTIZERS["learned"], keras.optimizers.SGD),
        "without": {
            method: caught(strategy, make, WithoutConstraints)
            for method, make in QUANTIZERS.items()
        },
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
