"""The PSTE against an independent NumPy derivation of the paper's equations."""

import numpy as np
import pytest

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import lq, tf
from keras_sparsebnn.estimators import nearest_codeword_ste, permutation_ste, select_ste
from keras_sparsebnn.selection.matching import sinkhorn

pytestmark = pytest.mark.smoke

SIZES = [2, 16, 32, 64, 128, 256, 512]


def numpy_forward(kernels, ids):
    u = codebook.decode(ids).astype(np.float64)
    slot = ((u[:, None] - kernels.T[None].astype(np.float64)) ** 2).sum(-1).argmin(0)
    return u[slot].T, slot


def numpy_gradients(kernels, ids, columns, upstream):
    """g(w), g(U) and g(P_GS), element by element."""
    _, slot = numpy_forward(kernels, ids)
    to_kernels = np.where(np.abs(kernels) <= 1, upstream, 0)
    to_codewords = np.zeros((9, len(ids)))
    for kernel, j in enumerate(slot):
        to_codewords[:, j] += upstream[:, kernel]
    to_plan = np.zeros((512, columns))
    for j in range(len(ids)):
        for i in range(512):
            to_plan[i, j] = codebook.decode(i).astype(float) @ to_codewords[:, j]
    return to_kernels, to_codewords, to_plan


def numpy_sinkhorn_gradient(logits, iterations, slack_mass, upstream):
    """Reverse mode through exp and every normalisation, in probability space."""
    columns = logits.shape[1]
    plan = np.exp(logits.astype(np.float64))
    mass = np.ones(columns)
    if slack_mass:
        plan = np.hstack([plan, np.ones((len(plan), 1))])
        mass = np.append(mass, slack_mass)
        upstream = np.hstack([upstream, np.zeros((len(plan), 1))])
    start, tape = plan, []
    for _ in range(iterations):
        for axis, target in ((1, 1.0), (0, mass)):
            total = plan.sum(axis, keepdims=True)
            scaled = plan / total * target
            tape.append((plan, total, axis, target))
            plan = scaled
    for before, total, axis, target in reversed(tape):
        # y = m x / s, s = sum x:  g(x) = (m g(y) - sum(m g(y) x) / s) / s
        weighted = upstream * target
        upstream = (weighted - (weighted * before).sum(axis, keepdims=True) / total) / total
    return (upstream * start)[:, :columns]


@pytest.fixture
def kernels(rng):
    # Beyond +-1 too, where the mask closes.
    return rng.normal(size=(9, 300)).astype(np.float32)


def choose(rng, n):
    return rng.permutation(512)[:n]


class TestCommon:
    @pytest.mark.parametrize("n", [16, 512])
    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_eager_equals_graph(self, rng, kernels, n, jit_compile):
        ids = tf.constant(choose(rng, n))
        plan = tf.constant(rng.random((512, n)).astype(np.float32))

        def value_and_gradients(kernels, plan):
            with tf.GradientTape() as tape:
                tape.watch([kernels, plan])
                loss = tf.reduce_sum(tf.sin(kernels) * permutation_ste(kernels, plan, ids))
            return loss, *tape.gradient(loss, [kernels, plan])

        eager = value_and_gradients(tf.constant(kernels), plan)
        compiled = tf.function(value_and_gradients, jit_compile=jit_compile)
        for ours, theirs in zip(eager, compiled(tf.constant(kernels), plan), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)

    def test_only_selected_codewords(self, rng, kernels):
        ids = choose(rng, 8)
        plan = tf.zeros([512, 8])
        chosen = permutation_ste(tf.constant(kernels), plan, tf.constant(ids)).numpy()
        assert set(codebook.encode(chosen.T)) <= set(ids)

    @pytest.mark.parametrize("kernel_size", [1, 2])
    def test_smaller_kernels(self, rng, kernel_size):
        taps = kernel_size**2
        ids = rng.permutation(2**taps)[:2]
        kernels = rng.normal(size=(taps, 40)).astype(np.float32)
        plan = tf.zeros([2**taps, 2])
        chosen = permutation_ste(tf.constant(kernels), plan, tf.constant(ids)).numpy()
        nearest = codebook.nearest(kernels.T, ids, kernel_size)
        assert np.array_equal(codebook.encode(chosen.T, kernel_size), nearest)


class TestForward:
    @pytest.mark.parametrize("n", SIZES)
    def test_nearest_codeword(self, rng, kernels, n):
        ids = choose(rng, n)
        chosen = permutation_ste(
            tf.constant(kernels), tf.zeros([512, n]), tf.constant(ids)
        ).numpy()
        expected, _ = numpy_forward(kernels, ids)
        assert np.array_equal(chosen, expected)

    def test_all_codewords_is_sign_also_at_zero(self, rng, kernels):
        kernels[rng.random(kernels.shape) < 0.3] = 0
        # A matmul cannot see the sign of so small a weight next to 1; sign can.
        kernels[0] = np.where(kernels[0] < 0, -1e-30, kernels[0])
        ids = tf.constant(choose(rng, 512))
        chosen = permutation_ste(tf.constant(kernels), tf.zeros([512, 512]), ids)
        assert np.array_equal(chosen, lq.quantizers.ste_sign(tf.constant(kernels)))

    def test_ties_go_to_the_lowest_id(self):
        ids = tf.constant([400, 3, 17], tf.int64)
        chosen = permutation_ste(tf.zeros([9, 1]), tf.zeros([512, 3]), ids).numpy()
        assert codebook.encode(chosen[:, 0]) == 3


class TestGradient:
    @pytest.mark.parametrize("n", SIZES)
    def test_against_numpy(self, rng, kernels, n):
        ids = choose(rng, n)
        upstream = rng.normal(size=kernels.shape).astype(np.float32)
        latent = tf.constant(kernels)
        plan = tf.constant(rng.random((512, n)).astype(np.float32))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([latent, plan])
            u = select_ste(plan, tf.constant(ids))
            tape.watch(u)
            chosen = nearest_codeword_ste(latent, u, tf.constant(ids))
        expected = numpy_gradients(kernels, ids, n, upstream)
        ours = tape.gradient(chosen, [latent, u, plan], output_gradients=tf.constant(upstream))
        assert np.array_equal(ours[0], expected[0])
        # Sums of up to 300 float32 terms of size 1, then of 9 such sums.
        np.testing.assert_allclose(ours[1], expected[1], atol=1e-4)
        np.testing.assert_allclose(ours[2], expected[2], atol=1e-3)

    @pytest.mark.parametrize("n", [16, 64, 512])
    def test_full_formulation_fills_n_columns(self, rng, kernels, n):
        ids = choose(rng, n)
        upstream = rng.normal(size=kernels.shape).astype(np.float32)
        plan = tf.constant(rng.random((512, 512)).astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(plan)
            chosen = permutation_ste(tf.constant(kernels), plan, tf.constant(ids))
        ours = tape.gradient(chosen, plan, output_gradients=tf.constant(upstream)).numpy()
        _, _, expected = numpy_gradients(kernels, ids, 512, upstream)
        np.testing.assert_allclose(ours, expected, atol=1e-3)
        assert not ours[:, n:].any()

    @pytest.mark.parametrize(("columns", "partial"), [(32, True), (512, False)])
    @pytest.mark.parametrize("iterations", [1, 10])
    def test_logits_through_sinkhorn(self, rng, kernels, columns, partial, iterations):
        n = 32
        ids = choose(rng, n)
        logits = rng.normal(size=(512, columns)).astype(np.float32)
        upstream = rng.normal(size=kernels.shape).astype(np.float32)
        x = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(x)
            plan = sinkhorn(x, iterations, partial=partial)
            chosen = permutation_ste(tf.constant(kernels), plan, tf.constant(ids))
        ours = tape.gradient(chosen, x, output_gradients=tf.constant(upstream)).numpy()
        _, _, to_plan = numpy_gradients(kernels, ids, columns, upstream)
        slack = 512 - columns if partial else None
        expected = numpy_sinkhorn_gradient(logits, iterations, slack, to_plan)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(ours / scale, expected / scale, atol=2e-5)

    def test_all_codewords_equals_ste_sign(self, rng, kernels):
        kernels[0, :5] = [1, -1, 0, 1.0001, -1.0001]
        upstream = tf.constant(rng.normal(size=kernels.shape).astype(np.float32))
        latent = tf.constant(kernels)
        ids = tf.constant(choose(rng, 512))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(latent)
            ours = permutation_ste(latent, tf.zeros([512, 512]), ids)
            theirs = lq.quantizers.ste_sign(latent)
        assert np.array_equal(ours, theirs)
        assert np.array_equal(
            tape.gradient(ours, latent, upstream), tape.gradient(theirs, latent, upstream)
        )

    def test_no_clip_passes_everything(self, kernels):
        latent = tf.constant(kernels * 10)
        ids = tf.constant([0, 511], tf.int64)
        with tf.GradientTape() as tape:
            tape.watch(latent)
            chosen = permutation_ste(latent, tf.zeros([512, 2]), ids, clip_value=None)
        assert np.array_equal(tape.gradient(chosen, latent), np.ones_like(kernels))
