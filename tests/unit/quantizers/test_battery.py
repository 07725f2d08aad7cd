"""What every registered method has to stand, whatever it does."""

import numpy as np
import pytest

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.analysis.usage import kernel_patterns
from keras_sparsebnn.layers import sparse_quantizer
from keras_sparsebnn.quantizers import METHODS
from keras_sparsebnn.quantizers.incremental import ALL_KERNELS
from keras_sparsebnn.quantizers.methods import METHODS as TABLE
from keras_sparsebnn.training import SelectionSchedule, StageSchedule, incremental
from keras_sparsebnn.transforms import freezing

SHAPE = (3, 3, 8, 32)
STEPS = 8

# Options with which a few steps are enough for everything that can change to change.
LIVELY = {
    "learned": {"refresh_interval": 1, "travel": 8.0, "freeze_step": STEPS},
    "learned_free": {"logits": "free", "logit_scale": 0.05, "temperature": 1.0},
    "snn": {"refinement_interval": 2, "pattern_scale": 0.05},
}
# Options with which a call depends on nothing that the gradient of another has left; and with
# which kernels are +-1 and have the gradient that all methods share.
STATELESS = {"rbonn": {"backtrack": 0.0}}
PLAIN = {"rbonn": {"backtrack": 0.0, "bilinear": 0.0, "magnitude": 1.0, "clip_value": 1.0}}
LEARNS_CODEWORDS = {"learned", "learned_free", "snn"}
CLASSES = {**METHODS, "learned_free": METHODS["learned"]}
VARIANTS = {
    "": {},
    "-scaled": {"magnitude_scale": True},
    "-ir_net": {"standardize": True, "gradient": "ede"},
    "-approx": {"gradient": "approx"},
}


def codewords_of(method):
    return 512 if method == "one_bit" else 8


def make(method, **options):
    options = {"seed": 3, **LIVELY.get(method, {}), **options}
    return CLASSES[method](codewords_of(method), **options)


def network(quantizer, policy="float32"):
    keras.utils.set_random_seed(1)
    layers = keras.layers
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        return keras.Sequential(
            [
                layers.Input((6, 6, 8)),
                lq.layers.QuantConv2D(
                    32,
                    3,
                    padding="same",
                    pad_values=1.0,
                    input_quantizer="ste_sign",
                    kernel_quantizer=quantizer,
                    kernel_constraint="weight_clip",
                    use_bias=False,
                ),
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3, dtype="float32"),
            ]
        )
    finally:
        keras.mixed_precision.set_global_policy(before)


def images(steps=STEPS):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(8 * steps, 6, 6, 8)).astype(np.float32)
    return x, (x.mean(axis=(1, 2))[:, 0] > 0).astype(np.int64)


def train(model):
    """8 steps; methods with stages enter the last one after 4."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss)
    x, y = images()
    staged = sparse_quantizer(model.layers[0]).has_stages
    callbacks = [SelectionSchedule(tolerance=incremental(0.5, 0.75), total_steps=STEPS)]
    callbacks += [StageSchedule({0.5: "codewords"}, total_steps=STEPS)] if staged else []
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0, callbacks=callbacks)
    return model


def restrict(quantizer, w):
    """Takes it to where all kernels are codewords."""
    if quantizer.has_stages:
        quantizer.enter("codewords", w)
    if hasattr(quantizer, "tolerance"):
        quantizer.tolerance.assign(ALL_KERNELS)
    if hasattr(quantizer, "scale"):
        quantizer.scale.assign(tf.ones_like(quantizer.scale))
    assert quantizer.is_restricted


def predictions(model):
    return model.predict(images(1)[0], verbose=0)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module", params=sorted(CLASSES))
def method(request):
    return request.param


@pytest.fixture(scope="module")
def trained(method):
    model = network(make(method))
    model.start = [w.copy() for w in model.get_weights()]
    return train(model)


def states(model):
    return {
        v.name.split("/")[-1].split(":")[0]: v.numpy()
        for v in sparse_quantizer(model.layers[0]).weights
    }


class TestTraining:
    def test_changes_what_it_should(self, method, trained):
        fresh = network(make(method))
        before, after = states(fresh), states(trained)
        layer = trained.layers[0]
        with lq.context.quantized_scope(False):
            assert not np.array_equal(fresh.layers[0].kernel.numpy(), layer.kernel.numpy())
        q = sparse_quantizer(layer)
        chosen = method in LEARNS_CODEWORDS or q.has_stages
        moved = set(before["selection"]) != set(after["selection"])
        assert moved == chosen
        assert q.is_restricted
        assert len(set(after["selection"].tolist())) == codewords_of(method)

    def test_kernels_are_codewords(self, trained):
        layer = trained.layers[0]
        used = set(kernel_patterns(layer).ravel().tolist())
        assert used <= set(sparse_quantizer(layer).selection.numpy().tolist())
        assert len(used) > 4

    def test_read_twice_is_the_same(self, trained):
        x = tf.constant(images(1)[0])
        for training in (False, True):
            with lq.context.quantized_scope(True):
                a, b = (tf.convert_to_tensor(trained.layers[0].kernel) for _ in range(2))
            np.testing.assert_array_equal(a, b)
            conv = trained.layers[0]
            np.testing.assert_array_equal(
                conv(x, training=training), conv(x, training=training)
            )

    def test_seeds_are_reproducible(self, method, trained):
        again = train(network(make(method)))
        assert same(again.get_weights(), trained.get_weights())
        if method != "one_bit":
            other = sparse_quantizer(network(make(method, seed=4)).layers[0])
            start = sparse_quantizer(network(make(method)).layers[0])
            assert set(other.selection.numpy()) != set(start.selection.numpy())


class TestSaving:
    @pytest.mark.parametrize("suffix", [".keras", ".h5"])
    def test_save_and_load(self, trained, tmp_path, suffix, recwarn):
        path = tmp_path / f"model{suffix}"
        trained.save(path)
        loaded = keras.models.load_model(path)
        x, _ = images(1)
        np.testing.assert_array_equal(
            trained.predict(x, verbose=0), loaded.predict(x, verbose=0)
        )
        assert same(trained.get_weights(), loaded.get_weights())
        ours, theirs = (sparse_quantizer(m.layers[0]) for m in (trained, loaded))
        assert ours.stage == theirs.stage
        assert ours.get_config() == theirs.get_config()

    def test_clone(self, trained):
        clone = keras.models.clone_model(trained)
        clone.set_weights(trained.get_weights())
        x, _ = images(1)
        np.testing.assert_array_equal(
            trained.predict(x, verbose=0), clone.predict(x, verbose=0)
        )

    def test_config_round_trip(self, method):
        for options in VARIANTS.values():
            q = make(method, **options)
            copy = type(q).from_config(q.get_config())
            assert copy.get_config() == q.get_config()
            assert {k: q.get_config()[k] for k in options} == options

    def test_the_alias_makes_one(self, method):
        alias = TABLE[method.removesuffix("_free")].alias
        assert type(lq.quantizers.get_kernel_quantizer(alias)) is CLASSES[method]


class TestCall:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_eager_graph_and_xla_agree(self, method, variant):
        q = make(method, **VARIANTS[variant], **STATELESS.get(method, {}))
        rng = np.random.default_rng(0)
        w = tf.constant(rng.normal(size=SHAPE), tf.float32)
        g = tf.constant(rng.normal(size=SHAPE), tf.float32)
        q.build(SHAPE)
        restrict(q, w)

        def both(latent):
            with tf.GradientTape() as tape:
                tape.watch(latent)
                out = q(latent, training=True)
            return out, tape.gradient(out, latent, g)

        eager = both(w)
        for compiled in (False, True):
            out, gradient = tf.function(both, jit_compile=compiled)(w)
            # Sums over kernels (scale, mean, deviation) may be added in another order.
            np.testing.assert_allclose(out, eager[0], rtol=1e-6)
            np.testing.assert_allclose(gradient, eager[1], rtol=1e-4, atol=1e-5)

    def test_is_traced_without_autograph(self, method, monkeypatch):
        q, seen = make(method), []
        call = type(q).call

        def noting(self, *args, **options):
            seen.append(tf.__internal__.autograph.control_status_ctx().status.name)
            return call(self, *args, **options)

        monkeypatch.setattr(type(q), "call", noting)
        q.build(SHAPE)
        tf.function(q)(tf.ones(SHAPE))
        assert set(seen) == {"DISABLED"}

    @pytest.mark.parametrize("gradient", ["clip", "approx", "ede"])
    def test_gradient_against_numpy(self, method, gradient):
        q = make(method, gradient=gradient, **PLAIN.get(method, {}))
        rng = np.random.default_rng(1)
        w = (1.2 * rng.normal(size=SHAPE)).astype(np.float32)
        g = rng.normal(size=SHAPE).astype(np.float32)
        q.build(SHAPE)
        restrict(q, w)
        latent = tf.constant(w)
        with tf.GradientTape() as tape:
            tape.watch(latent)
            out = q(latent, training=True)
        inside = np.abs(w) <= 1
        shape = {
            "clip": inside,
            "approx": inside * (2 - 2 * np.abs(w)),
            "ede": 1 / np.cosh(0.1 * w) ** 2,  # t = 0.1, k t = 1
        }[gradient]
        nearest = codebook.nearest(w.reshape(9, -1).T, q.selection.numpy())
        np.testing.assert_array_equal(out, codebook.decode(nearest).T.reshape(SHAPE))
        np.testing.assert_allclose(
            tape.gradient(out, latent, g), g * shape, rtol=1e-5, atol=1e-6
        )

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
    def test_dtypes(self, method, dtype):
        q = make(method, **PLAIN.get(method, {}))
        q.build(SHAPE)
        w = tf.cast(np.random.default_rng(2).normal(size=SHAPE), dtype)
        restrict(q, w)
        out = q(w)
        assert out.dtype == dtype
        assert set(np.unique(tf.cast(out, tf.float32))) == {-1.0, 1.0}
        assert all(v.dtype in (tf.float32, tf.int64) for v in q.weights)

    def test_mixed_bfloat16(self, method):
        model = train(network(make(method), "mixed_bfloat16"))
        assert np.isfinite(predictions(model)).all()
        layer = model.layers[0]
        with lq.context.quantized_scope(False):
            assert layer.kernel.dtype == tf.float32  # the latents
        assert layer.compute_dtype == "bfloat16"
        used = set(kernel_patterns(layer).ravel().tolist())
        assert used <= set(sparse_quantizer(layer).selection.numpy().tolist())


class TestDeployment:
    def test_freeze(self, trained):
        frozen = freezing.freeze(trained)
        assert same(predictions(frozen), predictions(trained))
        np.testing.assert_array_equal(
            kernel_patterns(frozen.layers[0]), kernel_patterns(trained.layers[0])
        )

    def test_lce_file_has_only_codewords(self, trained):
        converters = pytest.importorskip("keras_sparsebnn.converters")
        pytest.importorskip("larq_compute_engine")
        flat = converters.convert_keras_model(trained)
        (layer,) = converters.inspect(flat).binary_layers
        assert layer.distinct_codewords == len(np.unique(kernel_patterns(trained.layers[0])))
