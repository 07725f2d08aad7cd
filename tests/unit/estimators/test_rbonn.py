"""RBONN's gradient and its choice of channels, against NumPy."""

import numpy as np

from keras_sparsebnn._keras import tf
from keras_sparsebnn.estimators import bilinear_ste, neglected, noting_identity

SHAPE = (3, 3, 2, 5)
M, LAMBDA = 0.02, 0.1


def test_bilinear_gradient(rng):
    w, g = rng.normal(size=SHAPE), rng.normal(size=SHAPE)
    scale = rng.uniform(0.5, 2, size=5)
    signs = np.sign(w)
    kernel, magnitude = (tf.constant(x, tf.float32) for x in (w, scale))
    with tf.GradientTape() as tape:
        tape.watch([kernel, magnitude])
        out = bilinear_ste(
            kernel, tf.constant(signs, tf.float32), magnitude, magnitude=M, bilinear=LAMBDA
        )
    what = M * signs * scale
    np.testing.assert_allclose(out, what, rtol=1e-6)
    to_w, to_scale = tape.gradient(out, [kernel, magnitude], tf.constant(g, tf.float32))
    np.testing.assert_allclose(to_w, g * scale + LAMBDA * (w - what), rtol=1e-4, atol=1e-6)
    for o in range(5):
        task = (g[..., o] * w[..., o]).sum()
        bilinear = ((w[..., o] - what[..., o]) * M * signs[..., o]).sum()
        np.testing.assert_allclose(to_scale[o], task - LAMBDA * bilinear, rtol=1e-4, atol=1e-5)


def test_the_smallest_scales_are_neglected(rng):
    scale = rng.permutation(10).astype(np.float32)
    for density, count in ((0.6, 4), (0.95, 1), (1.0, 0), (0.0, 10)):
        expected = scale < count
        np.testing.assert_array_equal(neglected(tf.constant(scale), density), expected)


def test_equal_scales_are_chosen_in_order():
    assert neglected(tf.zeros(4), 0.5).numpy().tolist() == [1, 1, 0, 0]


def test_noting():
    seen = []
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = 3 * noting_identity(x, lambda *both: seen.append(both))
    assert not seen
    tape.gradient(y, x)
    ((value, gradient),) = seen
    assert (value.numpy().tolist(), gradient.numpy().tolist()) == ([1, 2], [3, 3])
