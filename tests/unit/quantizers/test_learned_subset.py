"""Selections that follow a trained variable, and optimizers that leave them behind."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.quantizers import SNN, SparseKernel

LEFT_BEHIND = "did not follow training: the optimizer applies no Keras constraints"
QUANTIZERS = {
    "learned": lambda: SparseKernel(
        16, seed=1, logit_scale=0.01, temperature=1.0, logits="free"
    ),
    "structured": lambda: SparseKernel(16, seed=1, travel=8.0, freeze_step=8),
    "snn": lambda: SNN(16, seed=1, refinement_interval=1, pattern_scale=0.01),
}


def network(quantizer):
    return keras.Sequential(
        [
            keras.layers.Input((6, 6, 8)),
            lq.layers.QuantConv2D(
                16,
                3,
                input_quantizer="ste_sign",
                kernel_quantizer=quantizer,
                kernel_constraint="weight_clip",
            ),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, dtype="float32"),
        ]
    )


def data(rng):
    return rng.normal(size=(16, 6, 6, 8)).astype(np.float32), rng.integers(0, 2, 16)


def bop():
    return lq.optimizers.CaseOptimizer(
        (lq.optimizers.Bop.is_binary_variable, lq.optimizers.Bop()),
        default_optimizer=keras.optimizers.legacy.Adam(0.1),
    )


OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.1),
    "adamw": lambda: keras.optimizers.AdamW(0.1),
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "legacy": lambda: keras.optimizers.legacy.Adam(0.1),
    "loss_scale": lambda: keras.mixed_precision.LossScaleOptimizer(keras.optimizers.Adam(0.1)),
    "bop": bop,
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", QUANTIZERS)
def test_follows_optimizers_of_keras_and_larq(method, optimizer, rng, seeded):
    quantizer = QUANTIZERS[method]()
    model = network(quantizer)
    model.compile(
        OPTIMIZERS[optimizer](), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    x, y = data(rng)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=f".*{LEFT_BEHIND}")
        model.fit(x, y, batch_size=4, epochs=2, validation_data=(x, y), verbose=0)
        ksb.freeze(model)
    assert int(quantizer.step.numpy()) == 8


def update_without_constraints(model, x, y):
    with tf.GradientTape() as tape:
        answers = model(x, training=True)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, answers, True))
    variables = model.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign_sub(0.1 * gradient)


@pytest.mark.parametrize("method", QUANTIZERS)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("event", ["evaluate", "save", "freeze"])
def test_warns_of_an_optimizer_without_constraints(
    method, compiled, event, rng, seeded, tmp_path
):
    model = network(QUANTIZERS[method]())
    x, y = data(rng)
    step = tf.function(update_without_constraints) if compiled else update_without_constraints
    step(model, x, y)
    react = {
        "evaluate": lambda: model.predict(x, verbose=0),
        "save": lambda: model.save(tmp_path / "model.keras"),
        "freeze": lambda: ksb.freeze(model),
    }[event]
    with pytest.warns(UserWarning, match=LEFT_BEHIND):
        react()


def test_warns_of_it_on_several_replicas_too():
    """In a process of its own: logical devices are made before TensorFlow starts."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("train_mirrored.py"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    warned = json.loads(done.stdout)
    assert warned["with"] == []
    for method, texts in warned["without"].items():
        (text,) = texts
        assert LEFT_BEHIND in text, method


def test_gradients_for_the_images_only_are_no_training(rng, seeded):
    model = network(QUANTIZERS["learned"]())
    x = tf.constant(data(rng)[0])
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        answers = model(x, training=True)
    assert tape.gradient(answers, x) is not None
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=f".*{LEFT_BEHIND}")
        ksb.freeze(model)
