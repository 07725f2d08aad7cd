"""AdaBin's layer: its equations, their derivatives, and what it is folded into."""

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.layers import AdaBinConv2D
from keras_sparsebnn.quantizers import FixedSubset, OneBit, SparseKernel
from keras_sparsebnn.training import StageSchedule
from keras_sparsebnn.transforms.kernels import frozen_kernel, latent_kernel
from tests.unit.layers.runtimes_agree import assert_runtimes_agree

SIDE, CIN, COUT = 5, 3, 4
TAPS = 9 * CIN


def layer(**options):
    made = AdaBinConv2D(COUT, 3, **{"use_bias": False, **options})
    made.build((None, SIDE, SIDE, CIN))
    return made


def settle(conv, rng, scale=0.7, shift=0.3):
    """Weights as training may leave them: channels off centre, a set off centre."""
    with lq.context.quantized_scope(False):
        offset = rng.normal(size=COUT)
        conv.kernel.assign(rng.normal(size=(3, 3, CIN, COUT)) * 0.3 + 0.2 * offset)
    conv.alpha_a.assign(scale)
    conv.beta_a.assign(shift)
    return conv


def padded_windows(x):
    """`[B, H, W, C]` -> `[B, H, W, 3, 3, C]` with SAME padding by 1."""
    x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=1.0)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return windows.transpose(0, 1, 2, 4, 5, 3)


def by_hand(x, w, scale, shift, kind, center):
    """Output, and all that the derivatives need, in float64."""
    beta = w.mean(axis=(0, 1, 2))
    alpha = np.sqrt(np.square(w - beta).mean(axis=(0, 1, 2)) + 1e-8)
    u = np.where(w - beta < 0, -1.0, 1.0)
    z = (x - shift) / scale
    s = np.where(z < 0, -1.0, 1.0)
    what = alpha * u + beta * center
    centre = shift if kind == "paper" else scale * shift
    windows = padded_windows(s)
    y = np.einsum("bhwijc,ijco->bhwo", scale * windows + centre, what)
    return y, {"alpha": alpha, "beta": beta, "u": u, "z": z, "windows": windows, "what": what}


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("kind", ["paper", "code"])
class TestEquations:
    def test_forward(self, rng, kind, center):
        conv = settle(layer(center=center, activation_set=kind), rng)
        x = rng.normal(size=(2, SIDE, SIDE, CIN))
        w = latent_kernel(conv).numpy().astype(np.float64)
        expected, _ = by_hand(x, w, 0.7, 0.3, kind, center)
        np.testing.assert_allclose(conv(x.astype(np.float32)), expected, rtol=1e-4, atol=1e-5)

    def test_gradients(self, rng, kind, center):
        conv = settle(layer(center=center, activation_set=kind), rng)
        conv.kernel_quantizer.ede_t.assign(2.0)
        x = rng.normal(size=(2, SIDE, SIDE, CIN))
        w = latent_kernel(conv).numpy().astype(np.float64)
        y, known = by_hand(x, w, 0.7, 0.3, kind, center)
        g = rng.normal(size=y.shape)
        inputs = tf.constant(x, tf.float32)
        with tf.GradientTape() as tape, lq.context.quantized_scope(False):
            tape.watch(inputs)
            loss = tf.reduce_sum(conv(inputs) * tf.constant(g, tf.float32))
        variables = [inputs, conv.kernel, conv.alpha_a, conv.beta_a]
        to_x, to_w, to_scale, to_shift = map(np.array, tape.gradient(loss, variables))

        alpha, beta, u, what = (known[name] for name in ("alpha", "beta", "u", "what"))
        # The weights: through the sign (EDE at t = 2 of what `standardize` makes of them), and
        # through alpha and beta.
        centre = 0.3 if kind == "paper" else 0.7 * 0.3
        to_what = np.einsum("bhwijc,bhwo->ijco", 0.7 * known["windows"] + centre, g)
        deviation = np.sqrt(np.square(w - beta).sum(axis=(0, 1, 2)) / (TAPS - 1))
        v = (w - beta) / deviation
        to_v = to_what * alpha * 2.0 * (1 - np.tanh(2.0 * v) ** 2)
        along = (to_v * v).sum(axis=(0, 1, 2)) / (TAPS - 1)
        expected = (to_v - to_v.mean(axis=(0, 1, 2)) - along * v) / deviation
        to_alpha = (to_what * u).sum(axis=(0, 1, 2))
        expected += to_alpha * (w - beta) / (TAPS * alpha)
        expected += center * to_what.sum(axis=(0, 1, 2)) / TAPS
        np.testing.assert_allclose(to_w, expected, rtol=1e-3, atol=1e-3)

        # The activations: windows that overlap, with a frame of padding that is +1.
        to_windows = np.einsum("bhwo,ijco->bhwijc", g, what)
        to_s = np.zeros((2, SIDE + 2, SIDE + 2, CIN))
        for i in range(3):
            for j in range(3):
                to_s[:, i : i + SIDE, j : j + SIDE] += to_windows[..., i, j, :]
        to_s = 0.7 * to_s[:, 1:-1, 1:-1]
        slope = (2 - 2 * np.abs(known["z"])) * (np.abs(known["z"]) <= 1)
        to_z = to_s * slope
        np.testing.assert_allclose(to_x, to_z / 0.7, rtol=1e-3, atol=1e-4)
        total = to_windows.sum()
        on_scale = (to_windows * known["windows"]).sum() + (kind == "code") * 0.3 * total
        expected = on_scale - (to_z * known["z"]).sum() / 0.7
        np.testing.assert_allclose(to_scale, expected, rtol=1e-3, atol=1e-3)
        on_shift = total * (1.0 if kind == "paper" else 0.7)
        np.testing.assert_allclose(to_shift, on_shift - to_z.sum() / 0.7, rtol=1e-3, atol=1e-3)


def test_codewords_in_place_of_the_sign(rng):
    quantizer = FixedSubset(8, seed=1, standardize=True)
    conv = settle(layer(kernel_quantizer=quantizer), rng)
    w = latent_kernel(conv).numpy()
    beta = w.mean(axis=(0, 1, 2))
    alpha = np.sqrt(np.square(w - beta).mean(axis=(0, 1, 2)))
    nearest = codebook.nearest(
        ((w - beta) / alpha).reshape(9, -1).T, quantizer.selection.numpy()
    )
    expected = alpha * codebook.decode(nearest).T.reshape(w.shape) + beta
    np.testing.assert_allclose(conv.two_valued_kernel(), expected, rtol=1e-4, atol=1e-5)


def test_without_centres_it_is_a_scaled_standardised_convolution(rng):
    conv = settle(layer(center=False), rng, scale=1.0, shift=0.0)
    options = {"padding": "same", "pad_values": 1.0, "input_quantizer": "approx_sign"}
    plain = lq.layers.QuantConv2D(
        *(COUT, 3),
        kernel_quantizer=OneBit(standardize=True),
        kernel_constraint="weight_clip",
        use_bias=False,
        **options,
    )
    plain.build((None, SIDE, SIDE, CIN))
    w = latent_kernel(conv)
    with lq.context.quantized_scope(False):
        plain.kernel.assign(w)
    x = rng.normal(size=(2, SIDE, SIDE, CIN)).astype(np.float32)
    alpha = w.numpy().std(axis=(0, 1, 2))
    np.testing.assert_allclose(conv(x), alpha * plain(x), rtol=1e-4, atol=1e-5)


def test_a_channel_of_equal_weights_does_no_harm(rng):
    conv = layer()
    with lq.context.quantized_scope(False):
        conv.kernel.assign(tf.fill(conv.kernel.shape, 0.25))
    x = tf.constant(rng.normal(size=(1, SIDE, SIDE, CIN)), tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(conv(x)))
    for gradient in tape.gradient(loss, conv.trainable_weights):
        assert np.isfinite(gradient).all()


def test_the_scale_stays_above_zero():
    conv = layer()
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.apply_gradients([(tf.constant(5.0), conv.alpha_a)])
    assert float(conv.alpha_a) == pytest.approx(1e-3)


def test_float_stage_convolves_with_latents(rng):
    quantizer = OneBit(standardize=True, starts_as="float")
    conv = settle(layer(kernel_quantizer=quantizer), rng)
    np.testing.assert_array_equal(conv.two_valued_kernel(), latent_kernel(conv))
    quantizer.enter("codewords", latent_kernel(conv))
    assert len(np.unique(conv.two_valued_kernel()[..., 0])) == 2


def test_defaults():
    assert type(layer().kernel_quantizer) is OneBit
    learned = layer(codewords=16).kernel_quantizer
    assert type(learned) is SparseKernel
    assert (learned.codewords, learned.standardize, learned.gradient) == (16, True, "ede")
    assert AdaBinConv2D(4, 1).kernel_quantizer.codewords == 2
    assert layer(kernel_quantizer="frequent").kernel_quantizer.standardize


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_quantizer": OneBit()}, "standardize=True, got OneBit .*Use kernel_q"),
        ({"kernel_quantizer": lq.quantizers.SteSign()}, "this package .*, got SteSign"),
        ({"input_quantizer": None}, "Expected a sign as the `input_quantizer`, got None"),
        ({"activation_set": "book"}, "one of paper, code, got 'book'"),
        ({"pad_values": 0.0}, r"pad_values=1\.0, the upper element of the set, got 0\.0"),
        ({"groups": 2}, r"Expected one group, got 2 \(layer"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        AdaBinConv2D(4, 3, **options)


def network(rng, **options):
    """Two layers, the second settled as training may leave it."""
    inputs = keras.layers.Input((SIDE, SIDE, CIN))
    x = AdaBinConv2D(CIN, 3, use_bias=False, name="first")(inputs)
    x = keras.layers.BatchNormalization()(x)
    conv = AdaBinConv2D(COUT, 3, **{"use_bias": False, **options, "name": "second"})
    x = keras.layers.GlobalAveragePooling2D()(conv(x))
    model = keras.Model(inputs, keras.layers.Dense(2, dtype="float32")(x))
    settle(conv, rng)
    return model, conv


@pytest.mark.parametrize(
    ("center", "kind", "padding", "scale"),
    [
        (True, "paper", "same", 0.7),
        (True, "code", "valid", -0.7),
        (True, "code", "same", -0.7),
        (False, "paper", "same", -0.7),
        (False, "code", "valid", 0.7),
    ],
)
def test_freezing_changes_nothing(rng, center, kind, padding, scale):
    options = {"center": center, "activation_set": kind, "padding": padding, "use_bias": True}
    model, conv = network(rng, **options, strides=2, activation="relu")
    conv.alpha_a.assign(scale)
    conv.bias.assign(rng.normal(size=COUT))
    x = rng.normal(size=(3, SIDE, SIDE, CIN)).astype(np.float32)
    frozen = ksb.freeze(model)
    # Sums of up to 27 products, in another order.
    np.testing.assert_allclose(frozen(x), model(x), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(part, AdaBinConv2D) for part in frozen.submodules)


class TestModels:
    def test_summary_of_model_and_frozen_model_agree(self, rng):
        model, _ = network(rng)
        ours, theirs = ksb.summary(model), ksb.summary(ksb.freeze(model))
        names = ["first", "first_sum", "second", "second_sum"]
        assert [x.name for x in ours.layers] == sorted(x.name for x in theirs.layers) == names
        assert ours.totals.weights == theirs.totals.weights
        assert ours.totals.gbops == theirs.totals.gbops
        assert ours.other_parameters == theirs.other_parameters

    @pytest.mark.parametrize("suffix", [".keras", ".h5"])
    @pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
    def test_frozen_models_save_and_clone(self, rng, tmp_path, suffix):
        frozen = ksb.freeze(network(rng)[0])
        x = rng.normal(size=(2, SIDE, SIDE, CIN)).astype(np.float32)
        frozen.save(tmp_path / f"frozen{suffix}")
        loaded = keras.models.load_model(tmp_path / f"frozen{suffix}")
        np.testing.assert_array_equal(loaded(x), frozen(x))
        np.testing.assert_array_equal(ksb.freeze(loaded)(x), frozen(x))

    def test_trains_through_stages_in_bfloat16(self, rng):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        try:
            quantizer = OneBit(standardize=True, gradient="ede", starts_as="float")
            model, conv = network(rng, kernel_quantizer=quantizer)
        finally:
            keras.mixed_precision.set_global_policy("float32")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.01), loss)
        x = rng.normal(size=(32, SIDE, SIDE, CIN)).astype(np.float32)
        before = [weight.numpy() for weight in conv.trainable_weights]
        model.fit(
            x,
            (x.mean(axis=(1, 2, 3)) > 0).astype(int),
            batch_size=8,
            verbose=0,
            callbacks=[StageSchedule({0.5: "codewords"}, total_steps=4)],
        )
        for weight, start in zip(conv.trainable_weights, before, strict=True):
            assert weight.dtype == tf.float32
            assert np.isfinite(weight).all()
            assert np.any(weight.numpy() != start)
        kernel = conv.two_valued_kernel().numpy()
        assert all(len(np.unique(kernel[..., o])) == 2 for o in range(COUT))
        # With 8 bits a threshold moves, and with it single signs; but kernels stay the same.
        frozen = ksb.freeze(model)
        assert np.median(np.abs(frozen(x) - tf.cast(model(x), tf.float32))) < 0.2
        parts = frozen.get_layer("second").layers[-1]
        found = parts.get_layer("second").kernel.numpy()
        assert {layer.compute_dtype for layer in parts.layers} == {"float32"}
        np.testing.assert_array_equal(np.sign(found), frozen_kernel(conv))

    def test_restricting_keeps_the_sets(self, rng):
        model, conv = network(rng)
        restricted = ksb.restrict(model, 16)
        copy = restricted.get_layer("second")
        assert copy.kernel_quantizer.codewords == 16
        assert (float(copy.alpha_a), float(copy.beta_a)) == (
            float(conv.alpha_a),
            float(conv.beta_a),
        )
        np.testing.assert_array_equal(latent_kernel(copy), latent_kernel(conv))

    def test_jit_equals_eager(self, rng):
        model, _ = network(rng, codewords=16)
        x = tf.constant(rng.normal(size=(2, SIDE, SIDE, CIN)), tf.float32)
        compiled = tf.function(model, jit_compile=True)
        np.testing.assert_allclose(compiled(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def converted():
    """`(model, file)` by `center`, with the second layer of 16 codewords."""
    converters = pytest.importorskip("keras_sparsebnn.converters")
    pytest.importorskip("larq_compute_engine")
    found = {}
    for center in (True, False):
        model, _ = network(np.random.default_rng(3), center=center, codewords=16)
        found[center] = model, converters.convert_keras_model(model)
    return found


class TestFiles:
    def test_operators(self, converted):
        from keras_sparsebnn.converters import inspect

        for center, (_, flat) in converted.items():
            found = inspect(flat)
            # The first layer has its centre always.
            assert found.operators["LceBconv2d"] == (4 if center else 3)
            assert found.operators["CONV_2D"] == (2 if center else 1)
            assert found.operators["LceQuantize"] == 2
            assert max(x.distinct_codewords for x in found.binary_layers[2:]) <= 16

    def test_keras_and_lce_and_the_delegate_agree(self, converted, rng):
        from keras_sparsebnn.converters import verify

        x = rng.normal(size=(4, SIDE, SIDE, CIN)).astype(np.float32)
        for model, flat in converted.values():
            assert_runtimes_agree(model, flat, x)
            assert verify(model, flat, x).compared == ("LCE", "delegate(LCE file)")
