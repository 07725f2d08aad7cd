"""Trains one network of all methods and options, compiled by XLA, and counts compilations.

Prints the number of XLA programs before training, after the first steps and at the end: of
those that XLA writes to the folder `sys.argv[1]`, as XLA_FLAGS tells it.
"""

import re
import sys
from pathlib import Path

import numpy as np

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.quantizers import METHODS
from keras_sparsebnn.training import (
    SelectionSchedule,
    StageSchedule,
    geometric,
    incremental,
    linear,
)

DUMP = Path(sys.argv[1])
STEPS = 20
FREE = {
    "full": {"formulation": "full", "gradient": "approx", "noise_scale": 1.0},
    "sometimes": {"refresh_interval": 3, "gradient": "ede", "standardize": True},
    "never": {"refresh_interval": 0, "magnitude_scale": True, "clip_value": None},
}
STRUCTURED = {
    "rarely": {"refresh_interval": 7, "travel": 4.0, "freeze_step": 15},
    "late": {"starts_as": "sign", "initial_selection": "facility_location"},
    "two_step": {"starts_as": "float", "initial_selection": "covering"},
}


def quantizers():
    """2x2 kernels: their 16 codewords make small programs."""
    for method, cls in METHODS.items():
        yield cls(16 if method == "one_bit" else 8, seed=1)
    for method in ("random", "snn"):
        yield METHODS[method](8, seed=1, starts_as="sign", gradient="ede")
    for options in FREE.values():
        yield METHODS["learned"](8, seed=1, logits="free", **options)
    for options in STRUCTURED.values():
        yield METHODS["learned"](8, seed=1, **options)


def programs():
    return {re.split(r"\.", path.name)[0] for path in DUMP.glob("module_*")}


class Count(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.counts = []

    def on_train_begin(self, logs=None):
        self.counts.append(len(programs()))

    def on_train_batch_end(self, batch, logs=None):
        if batch in (1, STEPS - 1):
            self.counts.append(len(programs()))


inputs = keras.layers.Input((4, 4, 8))
branches = [
    lq.layers.QuantConv2D(
        8,
        2,
        input_quantizer="ste_sign",
        kernel_quantizer=quantizer,
        kernel_constraint="weight_clip",
    )(inputs)
    for quantizer in quantizers()
]
x = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate()(branches))
model = keras.Model(inputs, keras.layers.Dense(3)(x))
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=True)
rng = np.random.default_rng(0)
count = Count()
model.fit(
    rng.normal(size=(4 * STEPS, 4, 4, 8)).astype(np.float32),
    rng.integers(0, 3, 4 * STEPS),
    batch_size=4,
    verbose=0,
    callbacks=[
        # After the schedules, so that what they compile for a choice is counted as theirs.
        StageSchedule({0.5: "codewords"}, total_steps=STEPS),
        SelectionSchedule(
            temperature=linear(5.0, 1.0),
            ede_t=geometric(0.1, 10),
            tolerance=incremental(0.5, 0.9),
            total_steps=STEPS,
        ),
        count,
    ],
)
print(*count.counts)
