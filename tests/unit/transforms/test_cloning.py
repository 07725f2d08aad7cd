"""Copies of models: wrappers, custom layers, functions, and the one line where it cannot be."""

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.quantizers import FixedSubset, SparseKernel, SubsetKernel

OPTIONS = {
    "padding": "same",
    "pad_values": 1.0,
    "input_quantizer": "ste_sign",
    "use_bias": False,
}
SIGN = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}


def sparse(**options):
    return SparseBinaryConv2D(8, 3, **{"codewords": 16, **OPTIONS, **options})


def larq_sparse():
    return lq.layers.QuantConv2D(
        8, 3, kernel_quantizer=SparseKernel(16), kernel_constraint="weight_clip", **OPTIONS
    )


def one_bit():
    return lq.layers.QuantConv2D(8, 3, **SIGN, **OPTIONS)


@keras.utils.register_keras_serializable("test_cloning")
class Block(keras.layers.Layer):
    """A custom layer that makes its layers itself."""

    def __init__(self, make="sparse", **kwargs):
        super().__init__(**kwargs)
        self.make = make
        self.conv = sparse() if make == "sparse" else one_bit()

    def call(self, inputs):
        return inputs + self.conv(inputs)

    def get_config(self):
        return {**super().get_config(), "make": self.make}


def block_model(make="sparse", *before):
    return keras.Sequential([keras.layers.Input((6, 6, 8)), *before, Block(make, name="block")])


def frames_model(conv):
    return keras.Sequential(
        [
            keras.layers.Input((3, 6, 6, 8)),
            keras.layers.TimeDistributed(conv, name="timed"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


def quantizers(model):
    return [part for part in model.submodules if isinstance(part, SubsetKernel)]


class TestWrappers:
    @pytest.mark.parametrize("make", [sparse, larq_sparse])
    def test_freeze(self, make, rng, seeded):
        model = frames_model(make())
        x = rng.normal(size=(2, 3, 6, 6, 8)).astype(np.float32)
        frozen = ksb.freeze(model)
        assert not quantizers(frozen)
        assert type(frozen.get_layer("timed").layer) is lq.layers.QuantConv2D
        np.testing.assert_allclose(frozen(x), model(x), rtol=1e-6)

    def test_restrict(self, rng, seeded):
        model = frames_model(one_bit())
        restricted = ksb.restrict(model, 16)
        (quantizer,) = quantizers(restricted)
        assert quantizer.codewords == 16
        with lq.context.quantized_scope(False):
            kernels = [m.get_layer("timed").layer.kernel.numpy() for m in (model, restricted)]
        np.testing.assert_array_equal(*kernels)
        np.testing.assert_array_equal(
            model.layers[-1].kernel.numpy(), restricted.layers[-1].kernel.numpy()
        )

    def test_a_wrapper_with_weights_of_its_own(self, rng, seeded):
        @keras.utils.register_keras_serializable("test_cloning")
        class Scaled(keras.layers.Wrapper):
            def build(self, input_shape):
                super().build(input_shape)
                self.scale = self.add_weight(name="scale", shape=(), initializer="ones")

            def call(self, inputs):
                return self.scale * self.layer(inputs)

        scaled = Scaled(sparse(), name="scaled")
        model = keras.Sequential([keras.layers.Input((6, 6, 8)), scaled])
        scaled.scale.assign(3.0)
        x = rng.normal(size=(2, 6, 6, 8)).astype(np.float32)
        np.testing.assert_allclose(ksb.freeze(model)(x), model(x), rtol=1e-6)

    @pytest.mark.parametrize("make", [sparse, larq_sparse])
    def test_a_wrapper_of_two_layers_is_refused(self, make, seeded):
        """As `Bidirectional`: a second layer, made from the configuration of the first."""

        @keras.utils.register_keras_serializable("test_cloning")
        class BothWays(keras.layers.Wrapper):
            def __init__(self, layer, **options):
                super().__init__(layer, **options)
                config = {**layer.get_config(), "name": "backward"}
                self.backward = type(layer).from_config(config)

            def call(self, inputs):
                return self.layer(inputs) + self.backward(inputs[:, :, ::-1])

        model = keras.Sequential([keras.layers.Input((6, 6, 8)), BothWays(make(), name="both")])
        message = r"got .* inside BothWays \(layer both\), whose code cannot be changed"
        with pytest.raises(SparseBNNError, match=message):
            ksb.freeze(model)
        assert len(ksb.summary(model).layers) == 2

    def test_bidirectional_beside_sparse_layers(self, rng, seeded):
        layers = [sparse(), keras.layers.Reshape((6, 48))]
        layers.append(keras.layers.Bidirectional(keras.layers.LSTM(4)))
        model = keras.Sequential([keras.layers.Input((6, 6, 8)), *layers])
        x = rng.normal(size=(2, 6, 6, 8)).astype(np.float32)
        np.testing.assert_allclose(ksb.freeze(model)(x), model(x), rtol=1e-6)

    @pytest.mark.parametrize("suffix", [".keras", ".h5"])
    @pytest.mark.parametrize("make", [sparse, larq_sparse])
    def test_load_without_custom_objects(self, make, suffix, rng, seeded, tmp_path, recwarn):
        model = frames_model(make())
        model.save(tmp_path / f"model{suffix}")
        loaded = keras.models.load_model(tmp_path / f"model{suffix}")
        x = rng.normal(size=(2, 3, 6, 6, 8)).astype(np.float32)
        np.testing.assert_array_equal(model(x), loaded(x))

    def test_summary_counts(self, seeded):
        found = ksb.summary(frames_model(sparse()))
        assert [layer.codewords for layer in found.layers] == [16]
        assert found.totals.weights == 9 * 8 * 8
        assert found.other_parameters == 3 * 6 * 6 * 8 * 3 + 3


class TestCustomLayers:
    def test_freeze_and_restrict_name_the_cause(self, seeded):
        message = r"got .*conv.* inside Block \(layer block\), whose code cannot be changed"
        with pytest.raises(ValueError, match=message):
            ksb.freeze(block_model())
        with pytest.raises(ValueError, match=message):
            ksb.restrict(block_model("one_bit"))
        with pytest.raises(ValueError, match=message):
            ksb.restrict(block_model("one_bit", one_bit()))

    def test_one_without_sparse_layers_is_copied(self, rng, seeded):
        model = block_model("one_bit", sparse())
        x = rng.normal(size=(2, 6, 6, 8)).astype(np.float32)
        np.testing.assert_allclose(ksb.freeze(model)(x), model(x), rtol=1e-6)

    def test_summary_counts(self, seeded):
        found = ksb.summary(block_model("sparse", sparse()))
        assert [layer.codewords for layer in found.layers] == [16, 16]
        assert [layer.bops is None for layer in found.layers] == [False, True]
        assert found.other_parameters == 0

    def test_plain_names_are_registered(self, seeded):
        for name in ("SparseBinaryConv2D", "RPReLU", "LearnableShift", "TwoSidedPReLU"):
            assert keras.utils.get_registered_object(name).__name__ == name
        layer = keras.layers.deserialize(
            {"class_name": "SparseBinaryConv2D", "config": sparse().get_config()}
        )
        assert layer.kernel_quantizer.codewords == 16


def test_quantizers_that_are_no_kernel_quantizer(seeded):
    model = keras.Sequential(
        [
            keras.layers.Input((6, 6, 8)),
            lq.layers.QuantDepthwiseConv2D(
                3,
                depthwise_quantizer=FixedSubset(16),
                depthwise_constraint="weight_clip",
                name="depthwise",
            ),
        ]
    )
    with pytest.raises(ValueError, match=r"got FixedSubset elsewhere \(layer depthwise/"):
        ksb.freeze(model)


def test_layers_of_several_nested_models_stay_shared(rng, seeded):
    shared = one_bit()
    norm = keras.layers.BatchNormalization(name="norm")
    first, second = (
        keras.Sequential([keras.layers.Input((6, 6, 8)), shared, norm], name=name)
        for name in ("first", "second")
    )
    inputs = keras.layers.Input((6, 6, 8))
    model = keras.Model(inputs, norm(shared(second(first(inputs)))))
    x = rng.normal(size=(4, 6, 6, 8)).astype(np.float32)
    loss = keras.losses.MeanSquaredError()
    for copy in (restricted := ksb.restrict(model, 256), ksb.freeze(restricted)):
        assert len(copy.trainable_weights) == len(model.trainable_weights)
        np.testing.assert_allclose(copy(x), restricted(x), rtol=1e-6)
    assert ksb.reestimate_batch_norm(restricted, [x]) == 1
    data = [(tf.constant(x), tf.zeros((4, 6, 6, 8)))]
    assert list(ksb.allocate(model, data, loss=loss)) == [shared.name]


@pytest.mark.parametrize("outer", [True, False])
@pytest.mark.parametrize("trainable", [True, False])
def test_flags_of_nested_models(seeded, trainable, outer):
    """A model and a layer in it each have a flag; Keras trains what is under no False."""
    nested = keras.Sequential([one_bit(), one_bit()], name="nested")
    nested.build((None, 6, 6, 8))
    model = keras.Sequential([nested, keras.layers.Dense(2)])
    model.build((None, 6, 6, 8))
    model.trainable = outer
    nested.trainable = trainable
    nested.layers[0].trainable = True
    nested.layers[1].trainable = False
    copy = ksb.restrict(model, 16)
    for before, after in zip([model, *model.layers], [copy, *copy.layers], strict=True):
        assert before.trainable == after.trainable
        assert len(before.trainable_weights) == len(after.trainable_weights)
    assert [layer.trainable for layer in copy.layers[0].layers] == [True, False]


def test_transposed_convolutions_stay_what_they_are(rng, seeded):
    layer = lq.layers.QuantConv2DTranspose(
        8, 3, kernel_quantizer=FixedSubset(16), kernel_constraint="weight_clip"
    )
    model = keras.Sequential([keras.layers.Input((6, 6, 8)), layer])
    x = rng.normal(size=(2, 6, 6, 8)).astype(np.float32)
    np.testing.assert_allclose(ksb.freeze(model)(x), model(x), rtol=1e-5, atol=1e-5)


class TestFunctions:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: keras.layers.Lambda(tf.math.square),
            lambda: keras.layers.Lambda(lambda x: 2 * x),
            lambda: keras.layers.Lambda(tf.add, arguments={"y": 1.0}),
            lambda: keras.layers.Activation(tf.math.square),
            lambda: keras.layers.Conv2D(8, 1, activation=tf.math.square),
        ],
        ids=["tf_function", "lambda", "arguments", "activation", "layer_activation"],
    )
    def test_are_handed_on(self, make, rng, seeded):
        x = rng.normal(size=(2, 6, 6, 8)).astype(np.float32)
        model = keras.Sequential([keras.layers.Input((6, 6, 8)), make(), sparse()])
        np.testing.assert_allclose(ksb.freeze(model)(x), model(x), rtol=1e-6)
        model = keras.Sequential([keras.layers.Input((6, 6, 8)), make(), one_bit()])
        assert len(quantizers(ksb.restrict(model, 16))) == 1

    def test_a_layer_that_its_configuration_does_not_describe(self, seeded):
        class Factor(keras.layers.Layer):
            def __init__(self, factor, **kwargs):
                super().__init__(**kwargs)
                self.factor = factor

            def call(self, inputs):
                return self.factor * inputs

        layers = [keras.layers.Input((6, 6, 8)), Factor(tf.ones([]), name="twice"), sparse()]
        message = r"made again from its get_config\(\), got Factor \(layer twice\)"
        with pytest.raises(ValueError, match=message):
            ksb.freeze(keras.Sequential(layers))


@pytest.mark.parametrize("transform", [ksb.freeze, ksb.restrict])
def test_nan_is_named(transform, seeded):
    conv = sparse(name="conv") if transform is ksb.freeze else one_bit()
    model = keras.Sequential([keras.layers.Input((6, 6, 8)), conv, keras.layers.Dense(2)])
    model.layers[0].kernel.assign(tf.fill(conv.kernel.shape, np.nan))
    with pytest.raises(ValueError, match=rf"got NaN in kernel \(layer {conv.name}\)"):
        transform(model)
