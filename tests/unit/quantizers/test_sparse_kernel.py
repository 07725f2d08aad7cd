"""The quantizers as larq and Keras use them."""

import itertools

import numpy as np
import pytest

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.analysis.usage import kernel_patterns
from keras_sparsebnn.quantizers import FixedSubset, SparseKernel


def tiny_model(kernel_quantizer, *, channels=32, **options):
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((6, 6, channels)),
            lq.layers.QuantConv2D(
                32,
                3,
                padding="same",
                pad_values=1.0,
                input_quantizer="ste_sign",
                kernel_quantizer=kernel_quantizer,
                kernel_constraint="weight_clip",
                use_bias=False,
                **options,
            ),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4),
        ]
    )


def train(model, rng, *, optimizer=None, steps=4, epochs=1):
    model.compile(
        optimizer or keras.optimizers.Adam(0.05),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    shape = (8 * steps, *model.input_shape[1:])
    x = rng.normal(size=shape).astype(np.float32)
    y = rng.integers(0, 4, len(x))
    model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return model


def quantizer_of(model):
    return model.layers[0].kernel_quantizer


class TestConfig:
    def test_is_a_binary_larq_quantizer(self):
        assert isinstance(SparseKernel(), lq.quantizers.Quantizer)
        assert SparseKernel.precision == FixedSubset.precision == 1

    @pytest.mark.parametrize("alias", ["sparse_kernel", "fixed_subset", "SparseKernel"])
    def test_alias(self, alias):
        model = tiny_model(alias)
        assert quantizer_of(model).codewords == 32

    @pytest.mark.parametrize(
        "quantizer",
        [
            SparseKernel(
                16,
                formulation="full",
                noise_scale=0.5,
                refresh_interval=7,
                seed=3,
                logits="free",
            ),
            SparseKernel.paper(64),
            FixedSubset(8, magnitude_scale=True, clip_value=None, seed=11),
        ],
    )
    def test_config_round_trip(self, quantizer):
        copy = type(quantizer).from_config(quantizer.get_config())
        assert copy.get_config() == quantizer.get_config()

    def test_seed_is_drawn_from_python_random(self):
        keras.utils.set_random_seed(5)
        first = SparseKernel().seed
        keras.utils.set_random_seed(5)
        assert SparseKernel().seed == first
        assert SparseKernel().seed != first

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"codewords": 48}, r"a power of two in \[2, 512\], got 48. Use 32 or 64"),
            ({"codewords": 1}, r"got 1. Use 2"),
            ({"codewords": 1024}, r"got 1024. Use 512"),
            ({"codewords": 32.0}, "Expected `codewords` to be an int, got 32.0"),
            ({"formulation": "half"}, "Expected `formulation` to be one of partial, full"),
            ({"matcher": "greedy"}, "Expected `matcher` to be one of graph, scipy"),
            (
                {"temperature": 0.0},
                r"`temperature` to be a number in \(0, 1e\+06\], got 0.0",
            ),
            (
                {"temperature": float("nan")},
                "`temperature` to be a number in .*got nan",
            ),
            ({"noise_scale": -1.0}, r"Expected `noise_scale` to be a number in .*got -1.0"),
            ({"refresh_interval": -1}, r"Expected `refresh_interval` to be an integer in"),
            ({"sinkhorn_iterations": 0}, "Expected `sinkhorn_iterations` to be an integer in"),
            ({"logit_scale": 0}, "Expected `logit_scale` to be a number in"),
        ],
    )
    def test_errors(self, options, message):
        with pytest.raises(ValueError, match=message):
            SparseKernel(**options)

    @pytest.mark.parametrize(
        ("shape", "message"),
        [
            ((5, 5, 4, 4), "Expected a kernel size of 1, 2 or 3, got 5"),
            ((3, 1, 4, 4), "Expected a square 2D kernel"),
            ((3, 4, 4), "Expected a square 2D kernel"),
            ((2, 2, 4, 4), r"a power of two in \[2, 16\], got 32"),
        ],
    )
    def test_kernel_shapes(self, shape, message):
        with pytest.raises(ValueError, match=message):
            SparseKernel(32).build(shape)


class TestForward:
    @pytest.mark.parametrize("shape", [(3, 3, 8, 16), (2, 2, 8, 16), (1, 1, 8, 16)])
    def test_nearest_selected_codeword(self, rng, shape):
        k = shape[0]
        quantizer = SparseKernel(2)
        latent = rng.normal(size=shape).astype(np.float32)
        kernel = quantizer(tf.constant(latent), training=False).numpy()
        flat = latent.reshape(k * k, -1).T
        ids = codebook.nearest(flat, quantizer.selection.numpy(), k)
        assert np.array_equal(codebook.encode(kernel.reshape(k * k, -1).T, k), ids)

    def test_magnitude_scale(self, rng):
        latent = rng.normal(size=(3, 3, 4, 6)).astype(np.float32)
        kernel = FixedSubset(16, magnitude_scale=True)(tf.constant(latent)).numpy()
        alpha = np.abs(latent).mean((0, 1, 2))
        np.testing.assert_allclose(np.abs(kernel), np.broadcast_to(alpha, latent.shape), 1e-6)

    def test_all_codewords_is_ste_sign(self, rng):
        latent = tf.constant(rng.normal(size=(3, 3, 8, 8)).astype(np.float32))
        quantizer = SparseKernel(512)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(latent)
            ours = quantizer(latent, training=True)
            theirs = lq.quantizers.ste_sign(latent)
        assert np.array_equal(ours, theirs)
        assert np.array_equal(tape.gradient(ours, latent), tape.gradient(theirs, latent))
        assert not quantizer.trainable_weights

    def test_bfloat16_in_bfloat16_out(self, rng):
        latent = tf.constant(rng.normal(size=(3, 3, 8, 8)), tf.bfloat16)
        assert FixedSubset(16)(latent).dtype == tf.bfloat16


class TestLearning:
    @pytest.mark.parametrize("formulation", ["partial", "full"])
    def test_logits_get_gradients_and_swaps_happen(self, rng, seeded, formulation):
        # Many slots of nearly equal logits: swaps are certain within a few large updates.
        quantizer = SparseKernel(64, formulation=formulation, logit_scale=0.1, logits="free")
        model = tiny_model(quantizer)
        quantizer.build((3, 3, 32, 32))
        before = quantizer.selection.numpy()
        train(model, rng)
        assert quantizer.step.numpy() == 4
        assert np.any(quantizer.selection.numpy() != before)
        assert len(set(quantizer.selection.numpy())) == 64

    def test_uses_only_what_it_selected(self, rng, seeded):
        model = train(tiny_model(SparseKernel(8, noise_scale=1.0, logits="free")), rng)
        used = set(kernel_patterns(model.layers[0]).ravel())
        assert used <= set(quantizer_of(model).selection.numpy())

    def test_matchers_agree(self, rng, seeded):
        selections = []
        for matcher in ("graph", "scipy"):
            keras.utils.set_random_seed(seeded)
            model = tiny_model(
                SparseKernel(32, matcher=matcher, logit_scale=0.1, seed=1, logits="free")
            )
            train(model, np.random.default_rng(0))
            selections.append(quantizer_of(model).selection.numpy())
        assert np.array_equal(*selections)

    @pytest.mark.parametrize("formulation", ["partial", "full"])
    def test_one_seed_one_result(self, seeded, formulation):
        def weights():
            keras.utils.set_random_seed(seeded)
            quantizer = SparseKernel(
                16, formulation=formulation, noise_scale=1.0, logits="free"
            )
            return train(tiny_model(quantizer), np.random.default_rng(0)).get_weights()

        for first, second in zip(weights(), weights(), strict=True):
            assert np.array_equal(first, second)

    def test_selection_is_the_matching_of_the_logits(self, rng, seeded):
        from keras_sparsebnn.selection.matching import hungarian, sinkhorn

        model = train(
            tiny_model(SparseKernel(32, logit_scale=0.1, noise_scale=1.0, logits="free")), rng
        )
        quantizer = quantizer_of(model)
        plan = sinkhorn(quantizer.logits / quantizer.temperature, 10, partial=True)
        assert np.array_equal(quantizer.selection.numpy(), hungarian(plan))

    def test_reading_twice_is_reading_once(self, rng, seeded):
        quantizer = SparseKernel(16, noise_scale=1.0, logits="free")
        latent = tf.constant(rng.normal(size=(3, 3, 8, 8)).astype(np.float32))
        first = quantizer(latent, training=True)
        assert np.array_equal(first, quantizer(latent, training=True))

    @pytest.mark.parametrize("n", [2, 16, 32])
    def test_starts_from_a_covering_if_asked(self, n):
        quantizer = SparseKernel(n, initial_selection="covering", logits="free", seed=3)
        quantizer.build((3, 3, 4, 4))
        covering = codebook.covering(n, seed=3)
        # Sinkhorn scales rows, so that now and then a near tie goes the other way.
        assert len(set(quantizer.selection.numpy()) & set(covering)) >= n - 1
        # The logits are those of the random start, in other places.
        other = SparseKernel(n, logits="free", seed=3)
        other.build((3, 3, 4, 4))
        for ours, theirs in zip(
            quantizer.logits.numpy().T, other.logits.numpy().T, strict=True
        ):
            assert np.array_equal(np.sort(ours), np.sort(theirs))
        structured = SparseKernel(n, initial_selection="covering", seed=3)
        structured.build((3, 3, 4, 4))
        assert np.array_equal(structured.selection, covering)

    def test_noise_in_training_only(self, rng):
        quantizer = SparseKernel(16, noise_scale=10.0, seed=1, logits="free")
        latent = tf.constant(rng.normal(size=(3, 3, 8, 8)).astype(np.float32))
        assert not np.array_equal(quantizer(latent, training=True), quantizer(latent))
        quiet = SparseKernel(16, logits="free", seed=1)
        assert np.array_equal(quantizer(latent, training=False), quiet(latent, training=False))

    def test_refresh_interval(self, rng, seeded):
        model = tiny_model(
            SparseKernel(64, refresh_interval=3, logit_scale=0.01, logits="free")
        )
        changes = []

        def record(*_):
            changes.append(quantizer_of(model).selection.numpy().copy())

        model.compile(keras.optimizers.Adam(0.05), "mse")
        x = rng.normal(size=(48, 6, 6, 32)).astype(np.float32)
        y = rng.normal(size=(48, 4)).astype(np.float32)
        record()
        callback = keras.callbacks.LambdaCallback(on_train_batch_end=record)
        model.fit(x, y, batch_size=8, verbose=0, callbacks=[callback])
        changed = [not np.array_equal(*pair) for pair in itertools.pairwise(changes)]
        assert changed == [False, False, True, False, False, True]

    def test_interval_zero_freezes(self, rng, seeded):
        model = tiny_model(
            SparseKernel(64, refresh_interval=0, logit_scale=0.01, logits="free")
        )
        quantizer = quantizer_of(model)
        quantizer.build((3, 3, 32, 32))
        before = quantizer.selection.numpy()
        train(model, rng)
        assert np.array_equal(before, quantizer.selection.numpy())

    def test_fixed_subset_learns_no_selection(self, rng, seeded):
        model = tiny_model(FixedSubset(16))
        before = quantizer_of(model).selection.numpy()
        train(model, rng)
        assert np.array_equal(before, quantizer_of(model).selection.numpy())
        assert not quantizer_of(model).trainable_weights


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(1.0, momentum=0.9),
        lambda: keras.optimizers.legacy.Adam(0.05),
        lambda: lq.optimizers.CaseOptimizer(
            (lq.optimizers.Bop.is_binary_variable, lq.optimizers.Bop()),
            default_optimizer=keras.optimizers.legacy.Adam(0.05),
        ),
    ],
    ids=["sgd", "legacy", "bop"],
)
def test_every_optimizer_updates_the_selection_once_a_step(rng, seeded, optimizer):
    model = train(tiny_model(SparseKernel(32)), rng, optimizer=optimizer())
    assert quantizer_of(model).step.numpy() == 4


def test_a_layer_called_twice_counts_one_step(rng, seeded):
    layers = keras.layers
    conv = tiny_model(SparseKernel(16, noise_scale=1.0, logits="free")).layers[0]
    inputs = layers.Input((6, 6, 32))
    x = layers.GlobalAveragePooling2D()(conv(conv(inputs)))
    train(keras.Model(inputs, layers.Dense(4)(x)), rng)
    assert conv.kernel_quantizer.step.numpy() == 4


@pytest.mark.parametrize(
    ("jit_compile", "formulation"), [(False, "partial"), (False, "full"), (True, "partial")]
)
def test_training_step_compiles(rng, seeded, jit_compile, formulation):
    model = tiny_model(SparseKernel(16, formulation=formulation, logits="free"))
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=jit_compile)
    x = rng.normal(size=(8, 6, 6, 32)).astype(np.float32)
    loss = model.train_on_batch(x, np.zeros((8, 4), np.float32))
    assert np.isfinite(loss)
    assert quantizer_of(model).step.numpy() == 1
