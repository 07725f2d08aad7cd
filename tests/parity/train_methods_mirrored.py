"""Trains one network with a layer of every method and one of more bits on two replicas.

Writes the states of their quantizers.

python train_methods_mirrored.py OUT.npz
"""

import sys

import numpy as np

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.layers import MultiBitConv2D
from keras_sparsebnn.quantizers import METHODS
from keras_sparsebnn.training import StageSchedule

# A few steps are enough to change codewords.
LIVELY = {
    "learned": {"refresh_interval": 1, "travel": 8.0, "freeze_step": 8},
    "free": {"logits": "free", "logit_scale": 0.1, "noise_scale": 1.0},
    "snn": {"refinement_interval": 2, "pattern_scale": 0.05},
}


def layer(method, x):
    n = 512 if method == "one_bit" else 16
    quantizer = METHODS["learned" if method == "free" else method]
    x = lq.layers.QuantConv2D(
        8,
        3,
        padding="same",
        pad_values=1.0,
        input_quantizer="approx_sign",
        kernel_quantizer=quantizer(n, seed=1, **LIVELY.get(method, {})),
        kernel_constraint="weight_clip",
        name=method,
    )(x)
    return keras.layers.BatchNormalization()(x)


def multi_bit(x):
    quantizer = METHODS["learned"](16, seed=1, **LIVELY["learned"])
    return MultiBitConv2D(8, 3, kernel_quantizer=quantizer, name="multi_bit")(x)


def main(out):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    keras.utils.set_random_seed(7)
    with strategy.scope():
        images = x = keras.layers.Input((6, 6, 8))
        for method in [*sorted(METHODS), "free"]:
            x = keras.layers.Add()([x, layer(method, x)])
        x = keras.layers.Add()([x, multi_bit(x)])
        x = keras.layers.GlobalAveragePooling2D()(x)
        model = keras.Model(images, keras.layers.Dense(4)(x))
        model.compile(
            keras.optimizers.Adam(0.05),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )

    def states():
        for method in [*METHODS, "free", "multi_bit"]:
            for variable in model.get_layer(method).kernel_quantizer.weights:
                yield f"{method}/{variable.name.split('/')[-1].split(':')[0]}", variable

    results = {f"start/{name}": variable.numpy() for name, variable in states()}
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 6, 6, 8)).astype(np.float32)
    y = rng.integers(0, 4, 64)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(8).with_options(options)
    schedule = StageSchedule({0.5: "codewords"}, total_steps=8)
    model.fit(batches, epochs=1, verbose=0, callbacks=[schedule])
    for name, variable in states():
        for replica, value in enumerate(variable.values):
            results[f"end{replica}/{name}"] = value.numpy()
    np.savez(out, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
