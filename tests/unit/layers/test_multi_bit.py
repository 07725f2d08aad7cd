"""Multi-bit convolutions: their equations and derivatives, and what they are folded into."""

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.analysis.usage import kernel_patterns
from keras_sparsebnn.layers import MultiBitConv2D, SparseBinaryConv2D
from keras_sparsebnn.quantizers import RBONN, FixedSubset, OddIntegers, OneBit
from keras_sparsebnn.training import StageSchedule
from keras_sparsebnn.transforms.binarity import stays_float
from keras_sparsebnn.transforms.kernels import frozen_planes, latent_kernel
from tests.unit.layers.runtimes_agree import assert_runtimes_agree

SIDE, CIN, COUT = 5, 3, 4
RANGES = ("symmetric", "unit")


def layer(bits, **options):
    activation_bits, weight_bits = bits
    options = {"use_bias": False, **options}
    made = MultiBitConv2D(
        COUT, 3, activation_bits=activation_bits, weight_bits=weight_bits, **options
    )
    made.build((None, SIDE, SIDE, CIN))
    return made


def settle(conv, rng, scale=0.5):
    """Weights as training may leave them, some beyond 1 for the gradient's sake."""
    with lq.context.quantized_scope(False):
        conv.kernel.assign(rng.normal(size=conv.kernel.shape) * scale)
    return conv


def images(rng, count=2):
    return rng.normal(size=(count, SIDE, SIDE, CIN)).astype(np.float32)


def nearest_odd(x, bits):
    """`(2^bits - 1) x` rounded to odd integers, clipped."""
    n = 2**bits - 1
    odd = np.arange(-n, n + 1, 2)
    return odd[np.abs(n * x[..., None] - odd).argmin(axis=-1)]


def windows(x, outside):
    """`[B, H, W, C]` -> `[B, H, W, 3, 3, C]` with SAME padding by `outside`."""
    x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=outside)
    found = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return found.transpose(0, 1, 2, 4, 5, 3)


def convolved(x, w, outside):
    return np.einsum("bhwijc,ijco->bhwo", windows(x, outside), w)


def by_hand(x, w, bits, value_range):
    """Values of inputs, of the padding and of kernels, in float64, without sign planes."""
    m, k = bits
    x, w = x.astype(np.float64), w.astype(np.float64)
    kernel = nearest_odd(w / (2 * np.abs(w).mean(axis=(0, 1, 2))), k) / (2**k - 1)
    if value_range == "symmetric":
        return nearest_odd(x, m) / (2**m - 1), 1.0, kernel
    return np.clip(np.round(x * (2**m - 1)), 0, 2**m - 1) / (2**m - 1), 0.0, kernel


@pytest.mark.parametrize("value_range", RANGES)
@pytest.mark.parametrize("bits", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 4)])
class TestEquations:
    def test_forward(self, rng, bits, value_range):
        conv = settle(layer(bits, activation_range=value_range), rng)
        x, w = images(rng), latent_kernel(conv).numpy()
        known, outside, kernel = by_hand(x, w, bits, value_range)
        # The padding is the value `outside`: exactly 0 in "unit".
        expected = convolved(known, kernel, outside)
        np.testing.assert_allclose(conv(x), expected, rtol=1e-5, atol=1e-5)
        of_inputs, of_kernels = (2**b - 1 for b in bits)
        exact = of_inputs * of_kernels * conv(x).numpy()
        np.testing.assert_allclose(exact, np.round(exact), atol=2e-4)

    def test_gradients(self, rng, bits, value_range):
        conv = settle(layer(bits, activation_range=value_range), rng)
        x, w = images(rng), latent_kernel(conv).numpy()
        known, outside, kernel = by_hand(x, w, bits, value_range)
        g = rng.normal(size=(2, SIDE, SIDE, COUT))
        inputs = tf.constant(x)
        with tf.GradientTape() as tape, lq.context.quantized_scope(False):
            tape.watch(inputs)
            loss = tf.reduce_sum(conv(inputs) * tf.constant(g, tf.float32))
        to_x, to_w = map(np.array, tape.gradient(loss, [inputs, conv.kernel]))

        # Each plane passes its share where what is left of the weight is within 1.
        to_kernel = np.einsum("bhwijc,bhwo->ijco", windows(known, outside), g)
        left, passed = w.astype(np.float64), np.zeros(w.shape)
        spread = 2 * np.abs(left).mean(axis=(0, 1, 2))
        for k in reversed(range(bits[1])):
            share = 2**k / (2 ** bits[1] - 1)
            passed += share * (np.abs(left) <= 1)
            left = left - spread * share * np.where(left < 0, -1, 1)
        assert 0 < (np.abs(w) > 1).mean() < 0.2
        np.testing.assert_allclose(to_w, to_kernel * passed, rtol=1e-4, atol=1e-4)

        frame = np.zeros((2, SIDE + 2, SIDE + 2, CIN))
        to_windows = np.einsum("bhwo,ijco->bhwijc", g, kernel)
        for i in range(3):
            for j in range(3):
                frame[:, i : i + SIDE, j : j + SIDE] += to_windows[..., i, j, :]
        low = 0.0 if value_range == "unit" else -1.0
        expected = frame[:, 1:-1, 1:-1] * ((x >= low) & (x <= 1))
        np.testing.assert_allclose(to_x, expected, rtol=1e-4, atol=1e-4)

    def test_the_sum_of_binary_branches(self, rng, bits, value_range):
        """What the file computes, branch by branch, in integers."""
        conv = settle(layer(bits, activation_range=value_range), rng)
        x = images(rng)
        planes = [plane.numpy().astype(np.int64) for plane in conv.binary_planes()]
        unit = value_range == "unit"
        left, total = 1 - 2 * x if unit else x, 0
        for m in reversed(range(bits[0])):
            signs = np.where(left < 0, -1, 1)
            left = left - np.float32(2**m / (2 ** bits[0] - 1)) * signs
            for k, plane in zip(reversed(range(bits[1])), planes, strict=True):
                branch = convolved(signs, -plane if unit else plane, 1)
                total = total + 2 ** (m + k) * (branch + unit * plane.sum(axis=(0, 1, 2)))
        of_inputs, of_kernels = (2**b - 1 for b in bits)
        expected = total / (of_inputs * of_kernels * (2 if unit else 1))
        np.testing.assert_allclose(conv(x), expected, rtol=1e-5, atol=1e-5)


def test_one_bit_each_is_the_plain_layer(rng):
    conv = settle(layer((1, 1), input_quantizer="approx_sign"), rng)
    plain = SparseBinaryConv2D(
        *(COUT, 3),
        kernel_quantizer=OneBit(),
        input_quantizer="approx_sign",
        padding="same",
        pad_values=1.0,
        use_bias=False,
    )
    plain.build((None, SIDE, SIDE, CIN))
    with lq.context.quantized_scope(False):
        plain.kernel.assign(conv.kernel)
    inputs = tf.constant(images(rng))
    results = []
    for made in (conv, plain):
        with tf.GradientTape() as tape, lq.context.quantized_scope(False):
            tape.watch(inputs)
            loss = tf.reduce_sum(tf.square(made(inputs)))
        results.append((made(inputs), *tape.gradient(loss, [inputs, made.kernel])))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_codewords_of_every_plane(rng):
    conv = settle(layer((2, 3), kernel_quantizer=FixedSubset(8, seed=1)), rng)
    selection = conv.kernel_quantizer.selection.numpy()
    left = latent_kernel(conv).numpy()
    spread = 2 * np.abs(left).mean(axis=(0, 1, 2))
    for k, plane in zip((2, 1, 0), frozen_planes(conv), strict=True):
        nearest = codebook.nearest(left.reshape(9, -1).T, selection)
        expected = codebook.decode(nearest).T.reshape(left.shape)
        np.testing.assert_array_equal(plane, expected)
        left = left - spread * np.float32(2**k / 7) * plane
    patterns = kernel_patterns(conv)
    assert patterns.shape == (3 * CIN, COUT)
    assert set(patterns.ravel()) <= set(selection)


def test_float_stage_convolves_with_latents(rng):
    conv = settle(layer((2, 2), kernel_quantizer=OneBit(starts_as="float")), rng)
    np.testing.assert_allclose(conv.integer_kernel(), 3 * latent_kernel(conv))
    conv.kernel_quantizer.enter("codewords", latent_kernel(conv))
    assert set(np.unique(conv.integer_kernel())) == {-3, -1, 1, 3}


def test_defaults():
    conv = layer((2, 2))
    assert type(conv.kernel_quantizer) is OneBit
    assert conv.input_quantizer.precision == 2
    assert layer((2, 1), activation_range="unit").pad_values == 0.0
    assert MultiBitConv2D(4, 1).kernel_quantizer.codewords == 2
    assert layer((1, 2), codewords=16).kernel_quantizer.codewords == 16
    assert stays_float(conv) is None
    unit = OddIntegers(1, value_range="unit")
    plain = lq.layers.QuantConv2D(
        2, 1, input_quantizer=unit, kernel_quantizer="ste_sign", kernel_constraint="weight_clip"
    )
    assert "not +1 and -1" in stays_float(plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation_bits": 9}, r"`activation_bits` to be an integer in \[1, 8\], got 9"),
        ({"weight_bits": 0}, "`weight_bits` to be an integer"),
        ({"activation_range": "half"}, "one of symmetric, unit, got 'half'"),
        ({"kernel_quantizer": lq.quantizers.SteSign()}, "this package, got SteSign .*one_bit"),
        ({"kernel_quantizer": OneBit(magnitude_scale=True)}, "magnitude_scale=True"),
        ({"kernel_quantizer": OneBit(standardize=True)}, "without scales .* standardize=True"),
        ({"kernel_quantizer": RBONN(512)}, "without scales .*, got RBONN"),
        ({"input_quantizer": "ste_sign"}, "of 2 bits, symmetric, got SteSign .* Leave it out"),
        ({"pad_values": 0.0}, r"pad_values=1\.0 for values that are symmetric, got 0\.0"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        MultiBitConv2D(4, 3, **options)


def test_channels_first():
    with pytest.raises(ValueError, match=r"channels last, got channels_first \(layer"):
        layer((2, 2), data_format="channels_first")


def network(rng, bits=(2, 2), *, filters=COUT, **options):
    """Two layers, settled as training may leave them, each in its own range."""
    inputs = keras.layers.Input((SIDE, SIDE, CIN))
    x = inputs
    for name, value_range in zip(("first", "second"), RANGES, strict=True):
        conv = MultiBitConv2D(
            *(filters, 3),
            activation_bits=bits[0],
            weight_bits=bits[1],
            activation_range=value_range,
            name=name,
            **{"use_bias": False, **options},
        )
        x = keras.layers.BatchNormalization(name=f"{name}_bn")(conv(x))
        settle(conv, rng, 0.2)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, dtype="float32")(x)), conv


@pytest.mark.parametrize(
    ("bits", "options"),
    [
        ((2, 2), {"padding": "valid", "use_bias": True, "activation": "relu"}),
        ((1, 3), {"strides": 2, "use_bias": True}),
        ((3, 1), {"dilation_rate": 2}),
        ((1, 1), {}),
    ],
)
def test_freezing_changes_nothing(rng, bits, options):
    model, conv = network(rng, bits, **options)
    if conv.use_bias:
        conv.bias.assign(rng.normal(size=COUT))
    x = images(rng)
    frozen = ksb.freeze(model)
    # Sums of up to M K terms instead of one, in another order.
    np.testing.assert_allclose(frozen(x), model(x), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(part, MultiBitConv2D) for part in frozen.submodules)


class TestModels:
    def test_summary_of_model_and_frozen_model_agree(self, rng):
        model, _ = network(rng, (3, 2))
        ours, theirs = ksb.summary(model), ksb.summary(ksb.freeze(model))
        assert [x.name for x in ours.layers] == ["first", "second"]
        assert {x.bits_per_weight for x in ours.layers} == {2.0}
        assert ours.layers[0].bops == 3 * 2 * 9 * CIN * COUT * SIDE * SIDE
        assert {x.bits_per_weight for x in theirs.layers} == {1.0}
        assert 2 * ours.totals.weights == theirs.totals.weights
        assert ours.totals.mbit == theirs.totals.mbit
        assert ours.totals.gbops == theirs.totals.gbops
        assert ours.other_parameters == theirs.other_parameters

    @pytest.mark.parametrize(
        ("suffix", "frozen"), [(".keras", False), (".keras", True), (".h5", False)]
    )
    @pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
    def test_models_save_and_clone(self, rng, tmp_path, suffix, frozen):
        model, _ = network(rng, codewords=16)
        x = images(rng)
        made = ksb.freeze(model) if frozen else model
        made.save(tmp_path / f"saved{suffix}")
        loaded = keras.models.load_model(tmp_path / f"saved{suffix}")
        np.testing.assert_array_equal(loaded(x), made(x))
        clone = keras.models.clone_model(loaded)
        clone.set_weights(made.get_weights())
        np.testing.assert_array_equal(clone(x), made(x))

    def test_trains_through_stages_in_bfloat16(self, rng):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        try:
            model, conv = network(rng, kernel_quantizer="one_bit")
            stages = OneBit(starts_as="float")
            conv = type(conv).from_config({**conv.get_config(), "kernel_quantizer": stages})
            x = model.get_layer("first_bn").output
            x = keras.layers.GlobalAveragePooling2D()(conv(x))
            model = keras.Model(model.input, keras.layers.Dense(2, dtype="float32")(x))
        finally:
            keras.mixed_precision.set_global_policy("float32")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.01), loss)
        x = images(rng, 32)
        before = latent_kernel(conv).numpy()
        model.fit(
            x,
            (x.mean(axis=(1, 2, 3)) > 0).astype(int),
            batch_size=8,
            verbose=0,
            callbacks=[StageSchedule({0.5: "codewords"}, total_steps=4)],
        )
        after = latent_kernel(conv).numpy()
        assert after.dtype == np.float32
        assert np.isfinite(after).all()
        assert np.any(after != before)
        assert set(np.unique(conv.integer_kernel())) == {-3, -1, 1, 3}
        # With 8 bits a threshold moves, and with it single signs; but kernels stay the same.
        frozen = ksb.freeze(model)
        assert np.median(np.abs(frozen(x) - tf.cast(model(x), tf.float32))) < 0.2
        parts = frozen.get_layer("second").layers[-1]
        assert {part.compute_dtype for part in parts.layers} == {"float32"}
        for k, plane in zip((1, 0), frozen_planes(conv), strict=True):
            found = parts.get_layer(f"second_plane{k}").kernel.numpy()
            np.testing.assert_array_equal(found, -plane)  # "unit"

    def test_restricting_keeps_the_bits(self, rng):
        model, conv = network(rng)
        copy = ksb.restrict(model, 16).get_layer("second")
        assert copy.kernel_quantizer.codewords == 16
        assert (copy.weight_bits, copy.activation_range) == (2, "unit")
        np.testing.assert_array_equal(latent_kernel(copy), latent_kernel(conv))

    def test_jit_equals_eager(self, rng):
        model, _ = network(rng, codewords=16)
        x = tf.constant(images(rng))
        compiled = tf.function(model, jit_compile=True)
        np.testing.assert_allclose(compiled(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def converted():
    """`(model, file)`, of 2 x 2 bits with 16 codewords a plane."""
    converters = pytest.importorskip("keras_sparsebnn.converters")
    pytest.importorskip("larq_compute_engine")
    quantizer = {"kernel_quantizer": "fixed_subset", "codewords": 16}
    model, _ = network(np.random.default_rng(3), filters=16, **quantizer)
    return model, converters.convert_keras_model(model)


class TestFiles:
    def test_operators_and_filters(self, converted):
        from keras_sparsebnn.converters import inspect
        from keras_sparsebnn.converters.filters.packed import packed_filters
        from keras_sparsebnn.tflite_file import read

        found = inspect(converted[1])
        assert found.operators["LceBconv2d"] == 2 * (2 * 2)
        assert found.operators["LceQuantize"] == 2 * 2
        assert "CONV_2D" not in found.operators
        assert max(x.distinct_codewords for x in found.binary_layers) <= 16
        assert all(x.options["pad_values"] == 1 for x in found.binary_layers)
        # Stored once, whatever the number of inputs.
        packed = list(packed_filters(read(converted[1])))
        assert len({x.words.tobytes() for x in packed}) == 2 * 2
        assert len({x.operator.inputs[1] for x in packed}) == 2 * 2

    def test_keras_and_lce_and_the_delegate_agree(self, converted, rng):
        from keras_sparsebnn.converters import convert_file, inspect, verify

        model, flat = converted
        x = images(rng, 4)
        small = assert_runtimes_agree(model, flat, x)
        assert len(small) < len(flat)
        assert inspect(convert_file(small, "lce")).operators == inspect(flat).operators
        report = verify(model, small, x)
        assert report.compared[1:] == ("delegate(LCE file)", "delegate(sub-bit file)")
        assert report.sign_flips == 0
