"""Groups that can change: masks against an obvious reference, and what becomes of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_sparsebnn as ksb
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.analysis.usage import codeword_counts
from keras_sparsebnn.layers import ChannelShuffle, SearchableGroupsConv2D
from keras_sparsebnn.layers.searchable_groups import group_numbers
from keras_sparsebnn.quantizers import RBONN, FixedSubset, OneBit
from keras_sparsebnn.training import RandomGroups
from tests.unit.layers.runtimes_agree import assert_runtimes_agree

SIGNED = {"padding": "same", "pad_values": 1.0, "input_quantizer": "approx_sign"}


def layer(channels=64, filters=64, side=4, **options):
    made = SearchableGroupsConv2D(filters, **{"use_bias": False, **SIGNED, **options})
    made.build((None, side, side, channels))
    return made


def obvious(x, kernel, groups, shuffle):
    """Deals channels out one by one, and sums the products of each output on its own."""
    channels, filters = kernel.shape[2:]
    size, share = channels // groups, filters // groups
    dealt = [None] * channels
    for part in range(groups):
        for index in range(size):
            source = part * size + index
            dealt[index * groups + part if shuffle else source] = source
    x, (k, _) = np.where(x < 0, -1.0, 1.0), kernel.shape[:2]
    x = np.pad(x, [(0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)], constant_values=1.0)
    rows, columns = (side - k + 1 for side in x.shape[1:3])
    y = np.zeros((len(x), rows, columns, filters))
    for o in range(filters):
        group = o // share
        for place in range(group * size, (group + 1) * size):
            i = dealt[place]
            for row in range(k):
                for column in range(k):
                    window = x[:, row : row + rows, column : column + columns, i]
                    y[..., o] += window * kernel[row, column, i, o]
    return y


@settings(max_examples=10, deadline=None)
@given(
    words=st.integers(1, 4),
    share=st.integers(1, 3),
    pick=st.integers(0, 3),
    k=st.sampled_from([1, 3]),
    shuffle=st.booleans(),
    seed=st.integers(0, 99),
)
def test_masks_are_groups(words, share, pick, k, shuffle, seed):
    rng = np.random.default_rng(seed)
    channels, filters = 32 * words, words * share
    x = rng.normal(size=(1, 3, 2, channels)).astype(np.float32)
    made = layer(channels, filters, kernel_size=k, shuffle=shuffle)
    groups = made.choices[pick % len(made.choices)]
    made.choose(groups)
    kernel = np.where(made.kernel.numpy() < 0, -1.0, 1.0)
    np.testing.assert_array_equal(made(x), obvious(x, kernel, groups, shuffle))
    exported = made.grouped()
    np.testing.assert_array_equal(exported(x).shape, made(x).shape)
    made.copy_into(exported)
    np.testing.assert_array_equal(exported(x), made(x))
    np.testing.assert_array_equal(made.mask().numpy().sum(axis=0), channels // groups)


class TestShuffle:
    def test_each_group_gets_some_of_every_part(self):
        x = tf.reshape(tf.range(12.0), [1, 1, 1, 12])
        dealt = ChannelShuffle(3)(x).numpy().reshape(3, 4)
        assert [set(group // 4) for group in dealt] == [{0, 1, 2}] * 3

    def test_unknown_map_sizes(self, rng):
        inputs = keras.layers.Input((None, None, 6))
        model = keras.Model(inputs, ChannelShuffle(2)(inputs))
        x = rng.normal(size=(2, 3, 5, 6)).astype(np.float32)
        np.testing.assert_array_equal(model(x), x[..., [0, 3, 1, 4, 2, 5]])

    def test_backward_is_the_old_order(self, rng):
        x = tf.constant(rng.normal(size=(1, 2, 2, 6)))
        shuffle = ChannelShuffle(3, dtype="float64")
        g = rng.normal(size=(1, 2, 2, 6))
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(shuffle(x) * g)
        order = shuffle(tf.reshape(tf.range(6, dtype=tf.float64), [1, 1, 1, 6]))
        expected = np.zeros_like(g)
        expected[..., order.numpy().ravel().astype(int)] = g
        np.testing.assert_allclose(tape.gradient(loss, x), expected)

    @pytest.mark.parametrize("groups", [0, True, 1.5, "2"])
    def test_impossible_groups(self, groups):
        with pytest.raises(ValueError, match="Expected `groups` to be an integer"):
            ChannelShuffle(groups)

    def test_channels_that_do_not_fit(self):
        with pytest.raises(ValueError, match=r"multiple of 4 channels, .* got 6"):
            ChannelShuffle(4)(tf.zeros([1, 1, 1, 6]))


class TestChoices:
    def test_auto_takes_what_files_can_have(self):
        assert layer(128, 66).choices == (1, 2)
        assert group_numbers(48, 48) == (1,)
        assert group_numbers(1024, 1024) == (1, 2, 4, 8, 16, 32)

    def test_gradients_stop_at_the_mask(self, rng):
        made = layer(kernel_size=1)
        made.choose(2)
        with lq.context.quantized_scope(False), tf.GradientTape() as tape:
            x = rng.normal(size=(2, 4, 4, 64)).astype(np.float32)
            loss = tf.reduce_sum(made(x) * rng.normal(size=(2, 4, 4, 64)))
        gradient = tape.gradient(loss, made.trainable_weights[0]).numpy()[0, 0]
        np.testing.assert_array_equal(gradient != 0, made.mask())

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"choices": ()}, r'`choices` to be "auto" or different numbers'),
            ({"choices": (1, 1)}, "different numbers of groups"),
            ({"choices": "all"}, "got 'all'"),
            (
                {"choices": (1, 4)},
                r"multiple of 32 channels, got 64 -> 64 in 4 .*Use some of 1, 2",
            ),
            ({"groups": 2}, "in the place of groups=2"),
            ({"kernel_quantizer": "ste_sign"}, "quantizer of this package, got SteSign"),
            ({"kernel_quantizer": RBONN(512)}, "without scales"),
            ({"kernel_quantizer": OneBit(512, magnitude_scale=True)}, "magnitude_scale=True"),
        ],
    )
    def test_impossible_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            layer(**options)

    def test_impossible_choice(self):
        with pytest.raises(ValueError, match=r"Expected one of 1, 2 groups, got 3"):
            layer().choose(3)


def supernet(quantizer=lambda: FixedSubset(16, seed=3)):
    inputs = keras.layers.Input((4, 4, 64))
    x = inputs
    for name in ("a", "b"):
        x = SearchableGroupsConv2D(
            64, 3, kernel_quantizer=quantizer(), use_bias=name == "b", name=name, **SIGNED
        )(x)
        x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


class TestSupernet:
    def compiled(self, **options):
        keras.utils.set_random_seed(1)
        model = supernet()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, **options)
        return model

    def test_one_graph_for_all_choices(self, rng):
        model, drawn = self.compiled(jit_compile=True), []
        layers = [model.get_layer(name) for name in "ab"]

        class Record(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                drawn.append(tuple(x.chosen for x in layers))

        x = rng.normal(size=(48, 4, 4, 64)).astype(np.float32)
        y = rng.integers(0, 3, 48)
        model.fit(x, y, 4, callbacks=[RandomGroups(5), Record()], verbose=0, shuffle=False)
        assert set(drawn) == {(1, 1), (1, 2), (2, 1), (2, 2)}
        # The first trace made the optimizer's variables.
        assert model.train_function.experimental_get_tracing_count() <= 2
        assert [x.chosen for x in layers] == [1, 1]
        # A draw depends on the seed and the step alone.
        again = np.random.default_rng((5, 0))
        assert drawn[0] == tuple(x.choices[again.integers(2)] for x in layers)

    def test_a_model_without_choices(self, rng):
        model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
        model.compile("sgd", "mse")
        with pytest.raises(ksb.errors.SparseBNNError, match="Expected a supernet"):
            model.fit(np.zeros((1, 2)), np.zeros(1), callbacks=[RandomGroups()], verbose=0)

    @pytest.mark.parametrize("suffix", [".keras", ".h5"])
    @pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
    def test_saves_loads_and_clones_with_its_choice(self, rng, tmp_path, suffix):
        model = supernet()
        model.get_layer("b").choose(2)
        x = rng.normal(size=(2, 4, 4, 64)).astype(np.float32)
        model.save(tmp_path / f"model{suffix}")
        loaded = keras.models.load_model(tmp_path / f"model{suffix}")
        clone = keras.models.clone_model(model)
        clone.set_weights(model.get_weights())
        for copy in (loaded, clone):
            assert copy.get_layer("b").chosen == 2
            np.testing.assert_array_equal(copy(x), model(x))

    def test_mixed_precision(self, rng):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        try:
            model = self.compiled(run_eagerly=True)
        finally:
            keras.mixed_precision.set_global_policy("float32")
        model.get_layer("a").choose(2)
        x = rng.normal(size=(2, 4, 4, 64)).astype(np.float32)
        assert np.isfinite(model.train_on_batch(x, np.zeros(2)))
        assert model.get_layer("a").choice.dtype == tf.int64
        frozen = ksb.freeze(model)
        assert frozen.get_layer("a").get_layer("a").groups == 2

    def test_summary_counts_the_choice(self):
        model = supernet(lambda: OneBit(512))
        before = ksb.summary(model)
        model.get_layer("a").choose(2)
        after = ksb.summary(model)
        assert after.layers[0].kernel_shape == (3, 3, 32, 64)
        assert after.layers[0].bops == before.layers[0].bops / 2
        assert after.layers[0].mbit == before.layers[0].mbit / 2
        assert after.other_parameters == before.other_parameters
        frozen = ksb.summary(ksb.freeze(model))
        assert frozen.other_parameters == after.other_parameters
        assert frozen.totals.weights == after.totals.weights
        assert codeword_counts(model.get_layer("a")).sum() == 32 * 64


@pytest.mark.parametrize("genes", [(2, 2), (1, 2)])
def test_masked_is_exported_is_file(genes, rng):
    pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")
    from keras_sparsebnn.converters import convert_keras_model, inspect

    model = supernet()
    for name, g in zip("ab", genes, strict=True):
        model.get_layer(name).choose(g)
        norm = model.get_layer(f"{name}_bn")
        norm.set_weights([w + rng.uniform(0, 1, w.shape) for w in norm.get_weights()])
    x = rng.normal(size=(1, 4, 4, 64)).astype(np.float32)
    np.testing.assert_allclose(ksb.freeze(model)(x), model(x), rtol=1e-5, atol=1e-5)
    flat = convert_keras_model(model)
    found = inspect(flat)
    assert tuple(c.groups for c in found.binary_layers) == genes
    assert_runtimes_agree(model, flat, x)
