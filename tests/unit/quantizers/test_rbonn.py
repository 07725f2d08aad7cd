"""RBONN as a quantizer: backtracking, its state, and what becomes of the scales."""

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import RBONN
from keras_sparsebnn.training import GroupedOptimizer, RunConfig, selection_logits

SHAPE = (3, 3, 2, 5)


def quantizer(rng, **options):
    q = RBONN(options.pop("codewords", 512), seed=1, **options)
    q.build(SHAPE)
    q.scale.assign(rng.permutation([0.1, 0.5, -0.2, 2.0, -1.0]))
    return q


def call(q, w, g, training=True):
    """Output, and gradients of w, the scale and, if there is one, u."""
    latent = tf.constant(w, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(latent)
        out = q(latent, training=training)
    trained = [latent, q.scale, *q.logit_weights]
    gradients = tape.gradient(out, trained, tf.constant(g, tf.float32))
    return out.numpy(), *(x.numpy() for x in gradients if x is not None)


def by_hand(w, g, scale, step_back, previous, sign, bilinear=1e-4, m=0.02):
    """One step, in float64: output, g(w), g(s), g(u)."""
    chosen = np.argsort(np.argsort(np.abs(scale))) < 2  # of 5, all but 60 %
    back = sign * previous * chosen
    w = w + step_back * back
    signs = np.where(w < 0, -1.0, 1.0)
    what = m * signs * np.abs(scale)
    to_w = g * np.abs(scale) + bilinear * (w - what)
    to_scale = (g * w - bilinear * (w - what) * m * signs).sum(axis=(0, 1, 2))
    return what, to_w, to_scale * np.sign(scale), (to_w * back).sum(axis=(0, 1, 2))


@pytest.mark.parametrize("kind", ["weights", "gradient"])
def test_three_steps_by_hand(rng, kind):
    # A large lambda and u, so that all terms count.
    q = quantizer(rng, backtrack_of=kind, backtrack=0.8, bilinear=0.3)
    scale, previous = q.scale.numpy().astype(np.float64), np.zeros(SHAPE)
    sign = 1 if kind == "weights" else -1
    changed = 0
    for _ in range(3):
        w, g = rng.normal(size=SHAPE), rng.normal(size=SHAPE)
        expected = by_hand(w, g, scale, 0.8, previous, sign, bilinear=0.3)
        found = call(q, w, g)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        changed += np.sum(np.sign(found[0]) != np.sign(w))
        previous = w if kind == "weights" else expected[1]
        np.testing.assert_allclose(q.previous, previous, rtol=1e-4, atol=1e-5)
    assert changed > 3, "backtracking was meant to change signs"


def test_evaluation_neither_backtracks_nor_changes_state(rng):
    q = quantizer(rng, backtrack=5.0)
    w, g = rng.normal(size=(2, *SHAPE))
    call(q, w, g)
    before = q.previous.numpy()
    other = rng.normal(size=SHAPE)
    out = call(q, other, g, training=False)[0]
    np.testing.assert_array_equal(np.sign(out), np.sign(other))
    np.testing.assert_array_equal(q.previous, before)


def test_without_all_of_it_it_is_the_unclipped_sign(rng):
    q = quantizer(rng, backtrack=0.0, bilinear=0.0, magnitude=1.0)
    q.scale.assign(tf.ones(5))
    w, g = 3 * rng.normal(size=SHAPE), rng.normal(size=SHAPE)
    out, to_w, _ = call(q, w, g)
    np.testing.assert_array_equal(out, np.sign(w))
    np.testing.assert_allclose(to_w, g, rtol=1e-6)
    assert q.logit_weights == []


def test_codewords_in_place_of_the_sign(rng):
    q = quantizer(rng, codewords=8)
    w = rng.normal(size=SHAPE).astype(np.float32)
    nearest = codebook.nearest(w.reshape(9, -1).T, q.selection.numpy())
    expected = 0.02 * np.abs(q.scale.numpy()) * codebook.decode(nearest).T.reshape(SHAPE)
    np.testing.assert_allclose(call(q, w, w)[0], expected, rtol=1e-6)


def test_float_stage_is_left_alone(rng):
    q = quantizer(rng, backtrack=5.0, starts_as="float")
    w, g = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(call(q, w, g)[0], w)


def test_scales_start_at_random():
    first, second, third = (RBONN(seed=seed) for seed in (1, 1, 2))
    for q in (first, second, third):
        q.build((3, 3, 4, 512))
    np.testing.assert_array_equal(first.scale, second.scale)
    assert np.any(first.scale.numpy() != third.scale.numpy())
    assert abs(float(np.std(first.scale)) - 1) < 0.15


def test_gradients_that_loss_scaling_has_scaled_are_not_kept():
    quantizer = RBONN(16, backtrack_of="gradient")
    quantizer.build((3, 3, 4, 8))
    with pytest.raises(ValueError, match='Expected `backtrack_of` "weights" in a float16'):
        quantizer(tf.ones([3, 3, 4, 8], tf.float16))
    quantizer(tf.ones([3, 3, 4, 8], tf.bfloat16))


def test_bounds():
    with pytest.raises(SparseBNNError, match="`backtrack_of` to be one of weights, gradient"):
        RBONN(backtrack_of="time")
    with pytest.raises(SparseBNNError, match="`magnitude` to be a number"):
        RunConfig(method="rbonn", options={"magnitude": 0})


def network(**options):
    """Two layers whose hand-over can be bits."""
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Input((5, 5, 4))]
    for index in range(2):
        layers += [
            lq.layers.QuantConv2D(
                8,
                3,
                padding="same",
                pad_values=1.0,
                input_quantizer="approx_sign",
                kernel_quantizer=RBONN(16, seed=index, **options),
                kernel_constraint="weight_clip",
                use_bias=False,
                name=f"conv{index}",
            ),
            keras.layers.BatchNormalization(),
        ]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, dtype="float32")]
    model = keras.Sequential(layers)
    optimizer = GroupedOptimizer(
        "adam", 0.01, logits=selection_logits(model), logit_rate_factor=0.1
    )
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def fit(model, epochs):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(32, 5, 5, 4)).astype(np.float32)
    y = (x.mean(axis=(1, 2, 3)) > 0).astype(int)
    model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return x


@pytest.mark.parametrize("kind", ["weights", "gradient"])
def test_a_loaded_model_goes_on_as_if_it_had_never_stopped(tmp_path, kind):
    straight, stopped = (network(backtrack_of=kind, backtrack=1.0) for _ in range(2))
    fit(straight, 2)
    fit(stopped, 1)
    stopped.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    fit(resumed, 1)
    for ours, theirs in zip(straight.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.name)
    q = straight.get_layer("conv1").kernel_quantizer
    # Adam moves by its rate a step, in 8 steps; of u that is a tenth of the others'.
    moved = np.abs(q.step_back.numpy() - 1.0).max()
    assert 0 < moved <= 8 * 0.001 * 1.5
    assert np.abs(q.scale.numpy() - _first_scale(q)).max() > 0.02


def _first_scale(q):
    other = RBONN(16, seed=q.seed)
    other.build(q.previous.shape)
    return other.scale.numpy()


def test_file_has_one_operator_a_layer_and_passes_bits():
    converters = pytest.importorskip("keras_sparsebnn.converters")
    pytest.importorskip("larq_compute_engine")
    from keras_sparsebnn.runtime import Interpreter

    model = network()
    x = fit(model, 1)
    scale = model.get_layer("conv0").kernel_quantizer.scale
    # A channel that training has switched off.
    scale.assign(tf.tensor_scatter_nd_update(scale, [[1]], [0.0]))
    flat = converters.convert_keras_model(model)
    found = converters.inspect(flat)
    assert found.operators["LceBconv2d"] == 2
    assert [layer.output_type for layer in found.binary_layers] == ["bits", "FLOAT32"]
    small = converters.convert_file(flat, "subbit")
    expected = ksb.freeze(model)(x)
    for file, runtime in ((flat, "lce"), (flat, "delegate"), (small, "delegate")):
        result = Interpreter(file, runtime=runtime).predict(x)
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
