"""Trained 1-bit networks, restricted to codewords."""

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.analysis.usage import kernel_patterns
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import (
    SearchableGroupsConv2D,
    SparseBinaryConv2D,
    sparse_quantizer,
)
from keras_sparsebnn.quantizers import (
    FacilityLocation,
    FixedSubset,
    Incremental,
    OneBit,
    SparseKernel,
    SubsetKernel,
)
from keras_sparsebnn.selection.facility_location import greedy_facility_location
from keras_sparsebnn.training import SelectionSchedule, incremental


def network(quantizer, layer=lq.layers.QuantConv2D):
    """3x3, 1x1 and nested 3x3 layers, all binary, with random latents."""
    keras.utils.set_random_seed(2)

    def conv(filters, size, **options):
        return layer(
            filters,
            size,
            input_quantizer="ste_sign",
            kernel_quantizer=quantizer(),
            kernel_constraint="weight_clip",
            **options,
        )

    inner = keras.Sequential([conv(12, 3, use_bias=True, name="deep")], name="inner")
    return keras.Sequential(
        [
            keras.layers.Input((6, 6, 8)),
            conv(16, 3, padding="same", pad_values=1.0, name="first"),
            keras.layers.BatchNormalization(),
            lq.layers.QuantConv2D(16, 1, kernel_quantizer="ste_sign", name="pointwise"),
            inner,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )


def latent(layer):
    with lq.context.quantized_scope(False):
        return tf.convert_to_tensor(layer.kernel).numpy()


def found(model, name):
    return next(x for x in model._flatten_layers(include_self=False) if x.name == name)


SIGNS = {
    "ste_sign": (lq.quantizers.SteSign, lq.layers.QuantConv2D, {"clip_value": 1.0}),
    "wide": (lambda: lq.quantizers.SteSign(1.3), lq.layers.QuantConv2D, {"clip_value": 1.3}),
    "magnitude_aware": (
        lq.quantizers.MagnitudeAwareSign,
        lq.layers.QuantConv2D,
        {"magnitude_scale": True},
    ),
    "one_bit": (
        lambda: OneBit(gradient="ede", standardize=True),
        SparseBinaryConv2D,
        {"gradient": "ede", "standardize": True},
    ),
    "not_yet_restricted": (
        lambda: FixedSubset(8, starts_as="sign"),
        lq.layers.QuantConv2D,
        {"gradient": "clip"},
    ),
}


@pytest.mark.parametrize("sign", SIGNS)
def test_codewords_are_chosen_and_weights_kept(sign):
    quantizer, layer, options = SIGNS[sign]
    model = network(quantizer, layer)
    before = [w.copy() for w in model.get_weights()]
    restricted = ksb.restrict(model, 8)
    for name in ("first", "deep"):
        old, new = found(model, name), found(restricted, name)
        q = sparse_quantizer(new)
        assert type(q) is FacilityLocation
        assert (q.codewords, q.stage, q.is_restricted) == (8, "codewords", True)
        assert {k: q.get_config()[k] for k in options} == options
        np.testing.assert_array_equal(latent(new), latent(old))
        kernels = q._binarised_latent(tf.constant(latent(old))).numpy().reshape(9, -1).T
        chosen = greedy_facility_location(kernels, 8, codebook.codewords())
        assert q.selection.numpy().tolist() == chosen.tolist()
        nearest = codebook.nearest(kernels, chosen)
        np.testing.assert_array_equal(kernel_patterns(new).ravel(), nearest)
        assert old.use_bias == new.use_bias
    np.testing.assert_array_equal(found(restricted, "deep").bias, found(model, "deep").bias)
    assert isinstance(found(restricted, "pointwise").kernel_quantizer, lq.quantizers.SteSign)
    for a, b in zip(model.get_weights(), before, strict=True):  # the model itself is unchanged
        np.testing.assert_array_equal(a, b)


class Threshold(lq.quantizers.SteSign):
    """A sign whose threshold is learned."""

    def build(self, input_shape):
        self.threshold = self.add_weight(name="threshold", shape=(input_shape[-1],))
        super().build(input_shape)

    def call(self, inputs):
        return super().call(inputs - self.threshold)


def test_keeps_the_weights_of_the_input_quantizer(seeded):
    inputs = keras.layers.Input((4, 4, 8))
    options = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
    conv = lq.layers.QuantConv2D(8, 3, input_quantizer=Threshold(), **options)
    with keras.utils.custom_object_scope({"Threshold": Threshold}):
        restricted = ksb.restrict(keras.Model(inputs, conv(inputs)), 256)
        copies = [model.layers[1] for model in (restricted, ksb.freeze(restricted))]
    for copy in copies:
        np.testing.assert_array_equal(
            copy.input_quantizer.threshold, conv.input_quantizer.threshold
        )


def test_keeps_the_chosen_groups(seeded):
    inputs = keras.layers.Input((4, 4, 64))
    conv = SearchableGroupsConv2D(64, 3, input_quantizer="ste_sign")
    model = keras.Model(inputs, conv(inputs))
    conv.choose(2)
    assert ksb.restrict(model, 16).layers[1].chosen == 2


def test_trains_on_and_saves(tmp_path, rng):
    restricted = ksb.restrict(network(lq.quantizers.SteSign), 4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    restricted.compile(keras.optimizers.Adam(0.01), loss)
    x = rng.normal(size=(32, 6, 6, 8)).astype(np.float32)
    start = latent(found(restricted, "first"))
    restricted.fit(x, rng.integers(0, 3, 32), batch_size=8, epochs=1, verbose=0)
    assert not np.array_equal(latent(found(restricted, "first")), start)
    assert len(np.unique(kernel_patterns(found(restricted, "first")))) <= 4
    path = tmp_path / "model.keras"
    restricted.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), restricted.predict(x, verbose=0)
    )


def test_any_way_of_choosing():
    def learned(codewords, **options):
        return SparseKernel(codewords, initial_selection="facility_location", **options)

    restricted = ksb.restrict(network(lq.quantizers.SteSign), 16, kernel_quantizer=learned)
    q = sparse_quantizer(found(restricted, "first"))
    assert isinstance(q, SparseKernel)
    kernels = latent(found(restricted, "first")).reshape(9, -1).T
    assert set(q.selection.numpy()) == set(
        greedy_facility_location(kernels, 16, codebook.codewords())
    )


def test_gradually(rng):
    """`Incremental` changes no kernel at first, and training takes it to codewords."""
    model = network(lq.quantizers.SteSign)
    restricted = ksb.restrict(model, 4, kernel_quantizer=Incremental)
    x = rng.normal(size=(64, 6, 6, 8)).astype(np.float32)
    np.testing.assert_array_equal(restricted.predict(x, verbose=0), model.predict(x, verbose=0))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    restricted.compile(keras.optimizers.Adam(0.01), loss)
    schedule = SelectionSchedule(tolerance=incremental(0.0, 0.5))
    y = rng.integers(0, 3, 64)
    restricted.fit(x, y, batch_size=8, verbose=0, callbacks=[schedule])
    for name in ("first", "deep"):
        layer = found(restricted, name)
        assert sparse_quantizer(layer).is_restricted
        assert len(np.unique(kernel_patterns(layer))) <= 4


def test_restricted_layers_stay():
    model = ksb.restrict(network(lq.quantizers.SteSign), 8)
    with pytest.raises(SparseBNNError, match="Expected a binary 3x3 convolution"):
        ksb.restrict(model, 4)
    assert issubclass(FacilityLocation, SubsetKernel)


def test_quicknet_is_folded():
    converters = pytest.importorskip("keras_sparsebnn.converters")
    pytest.importorskip("larq_compute_engine")
    model = ksb.models.quicknet(
        (32, 32, 3), 10, widths=(32, 64), depths=(1, 2), kernel_quantizer=lambda n: "ste_sign"
    )
    flat = converters.convert_keras_model(ksb.restrict(model, 16))
    layers = converters.inspect(flat).binary_layers
    assert {x.filter_shape[1:3] for x in layers} == {(3, 3)}
    assert all(x.distinct_codewords <= 16 for x in layers)


def test_refuses():
    with pytest.raises(SparseBNNError, match="Expected a binary 3x3 convolution"):
        ksb.restrict(keras.Sequential([keras.layers.Dense(2, input_shape=(3,))]))
    with pytest.raises(ValueError, match="power of two"):
        ksb.restrict(network(lq.quantizers.SteSign), 20)


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        (
            lambda **o: lq.layers.QuantConv2D(8, 3, kernel_quantizer="swish_sign", **o),
            "QuantConv2D 3x3 with SwishSign",
        ),
        (
            lambda **o: lq.layers.QuantConv2D(8, 5, kernel_quantizer="ste_sign", **o),
            "QuantConv2D 5x5 with SteSign",
        ),
        (
            lambda **o: lq.layers.QuantConv2DTranspose(8, 3, kernel_quantizer="ste_sign", **o),
            "QuantConv2DTranspose 3x3",
        ),
        (
            lambda **o: lq.layers.QuantConv2D(8, 3, kernel_quantizer="rbonn", **o),
            "QuantConv2D 3x3 with RBONN",
        ),
    ],
)
def test_says_which_binary_layer_it_cannot_restrict(layer, found):
    inputs = keras.layers.Input((8, 8, 8))
    model = keras.Model(inputs, layer(kernel_constraint="weight_clip", name="odd")(inputs))
    with pytest.raises(SparseBNNError, match=rf"got .*{found}.*\(layer odd\)"):
        ksb.restrict(model, 16)
