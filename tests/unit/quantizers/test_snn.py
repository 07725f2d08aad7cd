"""Sub-bit Neural Networks: refinement of sampled codewords."""

import numpy as np
import pytest

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.estimators import refined_patterns
from keras_sparsebnn.quantizers import SNN, FixedSubset


def refined(patterns, ids, key=(0, 1), **options):
    found = refined_patterns(
        tf.constant(patterns, tf.float32),
        tf.constant(ids, tf.int64),
        tf.constant(key, tf.int64),
        **options,
    )
    return [x.numpy() for x in found]


class TestRefinement:
    def test_memory_keeps_the_sign_of_small_latents(self):
        p = codebook.codewords()[[0, 100]].copy()
        p[0, 3] = -5e-4  # too small to tell
        p[0, 5] = -2e-3
        p[1, 0] = 0.0
        p, ids = refined(p, [0, 100])
        assert ids.tolist() == [1 << 5, 100]
        np.testing.assert_array_equal(p[0, [3, 5]], np.float32([-5e-4, -2e-3]))

    def test_clips(self, rng):
        p = 4 * codebook.codewords()[[7, 9]]
        clipped, ids = refined(p, [7, 9])
        np.testing.assert_array_equal(clipped, np.clip(p, -3, 3))
        assert ids.tolist() == [7, 9]

    def test_duplicates_become_unused_codewords(self, rng):
        ids = np.array([3, 8, 20, 41])
        p = 0.5 * codebook.codewords()[[3, 8, 3, 8]]
        out, new = refined(p, ids)
        assert new[:2].tolist() == [3, 8]
        assert len(set(new.tolist())) == 4
        np.testing.assert_array_equal(out[2:], codebook.codewords()[new[2:]])
        np.testing.assert_array_equal(out[:2], p[:2])
        again = refined(p, ids)[1]
        other = refined(p, ids, key=(0, 2))[1]
        assert again.tolist() == new.tolist() != other.tolist()

    def test_the_last_free_codeword_is_found(self, rng):
        ids = np.arange(16)
        p = codebook.codewords(2)[[*range(15), 0]]
        assert refined(p, ids)[1].tolist() == list(range(16))


def gradients(q, w, upstream):
    latent = tf.constant(w)
    with tf.GradientTape() as tape:
        tape.watch(latent)
        out = q(latent, training=True)
    found = tape.gradient(out, [latent, q.patterns], upstream)
    return out.numpy(), [g.numpy() for g in found]


@pytest.mark.parametrize("interval", [1, 3])
def test_gradient_against_numpy(rng, interval):
    q = SNN(8, seed=0, refinement_interval=interval)
    w = rng.normal(size=(3, 3, 4, 6)).astype(np.float32)
    upstream = rng.normal(size=w.shape).astype(np.float32)
    q.build(w.shape)
    flat, g = w.reshape(9, -1).T, upstream.reshape(9, -1).T
    for step in range(1, 8):
        ids = q.selection.numpy()
        used = codebook.nearest(flat, ids)
        expected = np.stack([g[used == u].sum(axis=0) for u in ids]) * (step % interval == 0)
        out, (to_w, to_p) = gradients(q, w, upstream)
        np.testing.assert_array_equal(out.reshape(9, -1).T, codebook.decode(used))
        np.testing.assert_allclose(to_w, upstream * (np.abs(w) <= 1))
        np.testing.assert_allclose(to_p, expected, rtol=1e-5, atol=1e-5)
        q.patterns.assign(q.patterns.constraint(q.patterns - 0.9 * to_p))
        assert len(set(q.selection.numpy().tolist())) == 8
    assert q.step.numpy() == 7


class TestTraining:
    def trained(self, quantizer, steps, rng, rate=0.02):
        keras.utils.set_random_seed(0)
        conv = lq.layers.QuantConv2D(
            16, 3, kernel_quantizer=quantizer, kernel_constraint="weight_clip"
        )
        model = keras.Sequential(
            [
                keras.layers.Input((6, 6, 8)),
                conv,
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(3),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate), loss)
        x = rng.normal(size=(8 * steps, 6, 6, 8)).astype(np.float32)
        seen = []
        watch = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append(quantizer.selection.numpy())
        )
        y = (x.mean(axis=(1, 2))[:, 0] > 0).astype(int)
        model.fit(x, y, batch_size=8, shuffle=False, verbose=0, callbacks=[watch])
        return np.array(seen)

    def test_refinement_really_changes_codewords(self, rng):
        q = SNN(16, seed=1, pattern_scale=0.05)
        seen = self.trained(q, 60, rng)
        changes = (seen[1:] != seen[:-1]).any(axis=1)
        # Batch b (from 0) is update b + 1; nothing can change before the gradient of the 25th.
        assert not changes[:23].any()
        assert changes[23:].any()
        assert all(len(set(ids.tolist())) == 16 for ids in seen)
        assert set(seen[-1]) != set(seen[0])

    def test_without_refinement_it_is_the_fixed_subset(self, rng):
        q, fixed = SNN(16, seed=1, refinement_interval=0), FixedSubset(16, seed=1)
        q.build((3, 3, 8, 16))
        fixed.build((3, 3, 8, 16))
        np.testing.assert_array_equal(q.selection, fixed.selection)
        assert len(q.trainable_weights) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refinement_interval": -1}, "`refinement_interval` to be an integer .*, got -1"),
        ({"pattern_scale": 0}, r"`pattern_scale` to be a number in \(0, 3\], got 0"),
        ({"pattern_scale": 4}, r"`pattern_scale` to be a number in \(0, 3\], got 4"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        SNN(16, **options)
