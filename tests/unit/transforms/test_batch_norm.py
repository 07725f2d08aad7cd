"""Re-estimated batch-norm statistics."""

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.models import small
from keras_sparsebnn.quantizers import SparseKernel
from keras_sparsebnn.transforms.batch_norm import BatchNormStatistics


@pytest.fixture
def model(seeded):
    return small(
        (8, 8, 1),
        10,
        kernel_quantizer=lambda n: SparseKernel(16, noise_scale=5.0, logits="free"),
    )


def test_averages_over_batches(rng, model):
    x = rng.normal(3, 2, size=(64, 8, 8, 1)).astype(np.float32)
    assert ksb.reestimate_batch_norm(model, [x[:32], x[32:]]) == 2
    stem = model.get_layer("stem")
    batches = np.stack([stem(x[:32]).numpy(), stem(x[32:]).numpy()])
    norm = model.get_layer("stem_bn")
    # The mean's rounding is that of 32 * 8 * 8 float32 terms of size 10.
    np.testing.assert_allclose(norm.moving_mean, batches.mean((0, 1, 2, 3)), atol=1e-4)
    # Keras' fused batch norm keeps the unbiased variance: N / (N - 1), N = 32 * 8 * 8.
    variance = batches.var((1, 2, 3)).mean(0) * 2048 / 2047
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-4)


def test_measures_the_noise_free_selection(rng, model):
    """The deepest statistics are those that the frozen, noise-free model produces."""
    x = rng.normal(size=(32, 8, 8, 1)).astype(np.float32)
    frozen = ksb.freeze(model)
    ksb.reestimate_batch_norm(model, [x])
    ksb.reestimate_batch_norm(frozen, [x])
    for ours, theirs in zip(
        model.get_layer("binary4_bn").get_weights(),
        frozen.get_layer("binary4_bn").get_weights(),
        strict=True,
    ):
        assert np.array_equal(ours, theirs)


def test_changes_nothing_else(rng, model):
    before = {weight.name: weight.numpy() for weight in model.weights}
    x = rng.normal(size=(16, 8, 8, 1)).astype(np.float32)
    ksb.reestimate_batch_norm(model, tf.data.Dataset.from_tensor_slices((x, x[:, 0])).batch(8))
    changed = {
        weight.name
        for weight in model.weights
        if not np.array_equal(before[weight.name], weight.numpy())
    }
    assert changed
    assert all("moving_" in name for name in changed)


@keras.utils.register_keras_serializable("test_batch_norm")
class Block(keras.layers.Layer):
    """A custom layer with a batch norm that is frozen."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.BatchNormalization(trainable=False)
        self.dense = keras.layers.Dense(4)

    def call(self, inputs, training=None):
        return self.dense(self.norm(inputs, training=training))


def statistics(norm):
    return norm.moving_mean.numpy(), norm.moving_variance.numpy()


@pytest.mark.parametrize("compiled", [False, True])
def test_inside_a_custom_layer(rng, compiled):
    x = rng.normal(2, 3, size=(64, 4)).astype(np.float32)
    block = Block()
    model = keras.Sequential([keras.layers.Input((4,)), block])
    assert BatchNormStatistics(model, compiled=compiled).measure([x]) == 1
    mean, variance = statistics(block.norm)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, x.var(0), rtol=1e-5)
    assert not block.norm.trainable


@pytest.mark.parametrize("compiled", [False, True])
def test_every_call_of_a_shared_layer_counts(rng, compiled):
    x = rng.normal(2, 3, size=(2, 64, 4)).astype(np.float32)
    norm, inputs = keras.layers.BatchNormalization(), keras.layers.Input((4,))
    doubled = keras.layers.Rescaling(2.0)(inputs)
    model = keras.Model(inputs, keras.layers.Add()([norm(inputs), norm(doubled)]))
    assert BatchNormStatistics(model, compiled=compiled).measure(list(x)) == 2
    mean, variance = statistics(norm)
    np.testing.assert_allclose(mean, 1.5 * x.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(variance, 2.5 * x.var(1).mean(0), rtol=1e-5)


def test_steps_bound_what_is_read(rng, model):
    x = rng.normal(size=(4, 8, 8, 1)).astype(np.float32)
    assert ksb.reestimate_batch_norm(model, (x for _ in range(100)), steps=3) == 3


def test_no_batch_is_an_error_and_nothing_changes(model):
    before = model.get_layer("stem_bn").get_weights()
    with pytest.raises(ValueError, match="Expected at least one batch"):
        ksb.reestimate_batch_norm(model, [])
    for ours, theirs in zip(model.get_layer("stem_bn").get_weights(), before, strict=True):
        assert np.array_equal(ours, theirs)


def test_without_batch_norm_nothing_is_read():
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    assert ksb.reestimate_batch_norm(model, [np.zeros((1, 4))]) == 0
