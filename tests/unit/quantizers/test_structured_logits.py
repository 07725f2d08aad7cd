"""`SparseKernel(logits="structured")`: what its slots do over the updates of a training."""

import itertools

import numpy as np
import pytest

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.quantizers import SparseKernel
from keras_sparsebnn.selection.matching import hungarian
from keras_sparsebnn.training import SelectionSchedule

SHAPE = (3, 3, 8, 16)
TABLE = codebook.codewords(3).astype(np.float64)


def built(**options):
    quantizer = SparseKernel(8, **{"seed": 3, **options})
    quantizer.build(SHAPE)
    return quantizer


def step(quantizer, latent, upstream, optimizer):
    """One optimizer update of the positions alone."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(quantizer(latent, training=True) * upstream)
    (trained,) = quantizer.trainable_variables
    optimizer.apply_gradients([(tape.gradient(loss, trained), trained)])


def gradients(count, seed=0):
    rng = np.random.default_rng(seed)
    pull = rng.normal(size=SHAPE)  # the same in every step, so that slots get somewhere
    return [tf.constant(pull + rng.normal(size=SHAPE), tf.float32) for _ in range(count)]


@pytest.mark.parametrize("start", [0, 5])
def test_a_training_against_numpy(start):
    steps, interval, travel, margin = 30, 3, 12.0, 0.1
    options = {"starts_as": "sign"} if start else {}
    quantizer = built(
        initial_selection="random",
        refresh_interval=interval,
        travel=travel,
        freeze_step=24,
        margin=margin,
        **options,
    )
    latent = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    kernels = latent.reshape(9, -1).astype(np.float64)
    ids = quantizer.selection.numpy()
    first = ids.copy()
    p = TABLE[ids].copy()
    square = 0.0
    optimizer = keras.optimizers.SGD(0.01)
    for t, upstream in enumerate(gradients(steps)):
        if start and t == start:
            quantizer.enter("codewords", tf.constant(latent))
        step(quantizer, tf.constant(latent), upstream, optimizer)
        if start <= t < 24:
            slot = (TABLE[ids] @ kernels).argmax(axis=0)
            flat = upstream.numpy().reshape(9, -1).astype(np.float64)
            g = np.stack([flat[:, slot == j].sum(axis=1) for j in range(8)])
            updates = 24 - start
            rate = 2 * travel / (updates + 1) * (1 - (t - start) / updates)
            square = 0.99 * square + 0.01 * np.mean(g**2)
            p -= rate * g / np.sqrt(square / (1 - 0.99 ** (t - start + 1)))
            if (t + 1) % interval == 0:
                logits = TABLE @ p.T
                logits[ids, np.arange(8)] += margin
                ids = hungarian(logits)
        np.testing.assert_allclose(quantizer.positions, p, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(quantizer.selection, ids)
    assert len(set(ids)) == 8
    assert len(set(ids) - set(first)) >= 4


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(1e-3),
        lambda: keras.optimizers.AdamW(0.1, weight_decay=0.1),
        lambda: keras.optimizers.legacy.SGD(0.0),
    ],
)
def test_every_optimizer_takes_the_same_way(optimizer):
    paths = []
    for one in (keras.optimizers.SGD(0.5, momentum=0.9), optimizer()):
        quantizer = built(freeze_step=12, starts_as="sign")
        for t, upstream in enumerate(gradients(14)):
            if t == 2:
                np.testing.assert_array_equal(
                    quantizer.positions, TABLE[quantizer.selection.numpy()]
                )
                quantizer.enter("codewords", tf.ones(SHAPE))
            step(quantizer, tf.ones(SHAPE), upstream, one)
        paths.append(quantizer.positions.numpy())
    np.testing.assert_array_equal(*paths)


def test_a_layer_called_twice_sums_and_a_lost_step_counts_as_none():
    quantizer, other = built(), built()
    optimizer = keras.optimizers.SGD(1.0)
    first, second = gradients(2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(quantizer(tf.ones(SHAPE), training=True) * first)
        loss += tf.reduce_sum(quantizer(tf.ones(SHAPE), training=True) * second)
    (trained,) = quantizer.trainable_variables
    optimizer.apply_gradients([(tape.gradient(loss, trained), trained)])
    step(other, tf.ones(SHAPE), first + second, keras.optimizers.SGD(1.0))
    np.testing.assert_allclose(quantizer.positions, other.positions, rtol=1e-5)
    before = other.positions.numpy()
    step(other, tf.ones(SHAPE), first * np.inf, keras.optimizers.SGD(1.0))
    np.testing.assert_array_equal(other.positions, before)
    np.testing.assert_array_equal(other.codeword_gradient, 0)


def test_frozen_afterwards_and_by_interval_0():
    quantizer = built(freeze_step=4, refresh_interval=1)
    optimizer = keras.optimizers.SGD(1.0)
    for upstream in gradients(4):
        step(quantizer, tf.ones(SHAPE), upstream, optimizer)
    before = [v.numpy() for v in (quantizer.positions, quantizer.selection)]
    for upstream in gradients(4, seed=1):
        step(quantizer, tf.ones(SHAPE), upstream, optimizer)
    np.testing.assert_array_equal(quantizer.positions, before[0])
    np.testing.assert_array_equal(quantizer.selection, before[1])
    still = built(refresh_interval=0)
    optimizer = keras.optimizers.SGD(1.0)
    for upstream in gradients(4):
        step(still, tf.ones(SHAPE), upstream, optimizer)
    np.testing.assert_array_equal(still.positions, TABLE[still.selection.numpy()])


def test_starts_from_facility_location():
    quantizer = built(starts_as="sign", initial_selection="facility_location")
    latent = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    quantizer.enter("codewords", tf.constant(latent))
    from keras_sparsebnn.selection.facility_location import greedy_facility_location

    chosen = greedy_facility_location(latent.reshape(9, -1).T, 8, codebook.codewords(3))
    np.testing.assert_array_equal(quantizer.selection, chosen)
    np.testing.assert_array_equal(quantizer.positions, TABLE[chosen])


def test_warns_of_a_choice_that_can_no_longer_move():
    quantizer = built(starts_as="sign", freeze_step=2)
    optimizer = keras.optimizers.SGD(0.1)
    for upstream in gradients(2):
        step(quantizer, tf.ones(SHAPE), upstream, optimizer)
    with pytest.warns(UserWarning, match="may move up to update 2, and update 2 has passed"):
        quantizer.enter("codewords", tf.ones(SHAPE))


def test_the_schedule_sets_the_last_update_and_the_travel():
    quantizer = SparseKernel(8)
    layer = lq.layers.QuantConv2D(8, 3, kernel_quantizer=quantizer, input_shape=(3, 3, 4))
    model = keras.Sequential([layer, keras.layers.Flatten()])
    model.compile("sgd", "mse")
    schedule = SelectionSchedule(freeze_after=0.25, travel=3.0)
    x, y = np.zeros((20, 3, 3, 4), np.float32), np.zeros((20, 8), np.float32)
    model.fit(x, y, batch_size=1, epochs=2, verbose=0, callbacks=[schedule])
    assert int(quantizer.freeze_step) == 10
    assert float(quantizer.travel) == 3


def test_the_schedule_under_a_new_optimizer():
    """Compiled anew, the quantizer's count of updates goes on, the optimizer's does not."""
    keras.utils.set_random_seed(0)
    layer = lq.layers.QuantConv2D(
        8, 3, kernel_quantizer=SparseKernel(8), kernel_constraint="weight_clip"
    )
    model = keras.Sequential([keras.layers.Input((3, 3, 4)), layer, keras.layers.Flatten()])
    quantizer = layer.kernel_quantizer
    x, y = (np.random.default_rng(0).normal(size=s) for s in ((20, 3, 3, 4), (20, 8)))
    moved = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            moved.append(quantizer.positions.numpy())

    for _ in range(2):
        model.compile("sgd", "mse")
        schedule = SelectionSchedule(freeze_after=0.5, travel=8.0)
        model.fit(x, y, batch_size=2, verbose=0, callbacks=[schedule, Watch()])
    assert (int(quantizer.start_step), int(quantizer.freeze_step)) == (10, 15)
    lengths = [np.sqrt(np.mean((a - b) ** 2)) for a, b in itertools.pairwise(moved)]
    assert all(length > 0.2 for length in (*lengths[:4], *lengths[9:14]))
    assert lengths[4:9] == lengths[14:] == [0.0] * 5


def test_models_of_earlier_versions_have_free_logits():
    config = SparseKernel(8, logits="free", formulation="full", seed=1).get_config()
    for name in ("logits", "travel", "freeze_step", "margin"):
        config.pop(name)
    loaded = SparseKernel.from_config(config)
    loaded.build(SHAPE)
    assert loaded.get_config()["logits"] == "free"
    assert loaded.logits.shape == (512, 512)


def test_options_of_the_other_form():
    message = 'Expected `temperature` with logits="free" only, got 1.0 with logits="structured"'
    with pytest.raises(ValueError, match=message):
        SparseKernel(8, temperature=1.0)
    with pytest.raises(ValueError, match=r"Expected `travel` with logits=\"structured\" only"):
        SparseKernel(8, logits="free", travel=1.0)
    with pytest.raises(ValueError, match="Expected `freeze_step` to be an integer in"):
        SparseKernel(8, freeze_step=-1)
