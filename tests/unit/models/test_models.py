"""Every network of the registry: what builders promise, saving, cloning, a training step."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from keras_sparsebnn import models
from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.analysis.usage import binary_layers
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import (
    ChannelShuffle,
    LearnableShift,
    RPReLU,
    SearchableGroupsConv2D,
    TwoSidedPReLU,
)
from keras_sparsebnn.models import MODELS
from keras_sparsebnn.quantizers import METHODS, FixedSubset, SparseKernel
from keras_sparsebnn.transforms.freezing import frozen_kernel

SHAPE, CLASSES = (8, 8, 3), 4
RESIDUAL = {"width": 8, "depths": (1, 1)}
SMALL = {
    "adabin18": RESIDUAL,
    "adabin20": RESIDUAL,
    "bcd_resnet18": {**RESIDUAL, "mlp_groups": 0},
    "bcdnet_a": {"width": 4, "depths": (1, 1), "mlp_groups": 1},
    "bcdnet_b": {"width": 4, "depths": (1, 1), "mlp_groups": 0},
    "ftbnn18": RESIDUAL,
    "ftbnn18_grouped": {"width": 64, "groups": 2, "depths": (1, 1)},
    "mobile_grouped": {"width": 32, "depths": (1, 1), "groups": (1, 1, 2, 2)},
    "oblivious": {"levels": 2, "widths": (8, 8)},
    "quicknet": {"widths": (8, 16), "depths": (1, 1)},
    "resnet18": RESIDUAL,
    "resnet20": RESIDUAL,
    "resnet34": RESIDUAL,
    "small": {"widths": (8, 16)},
    "small_vgg": {"widths": (8, 16)},
    "sparks_deep": {"widths": (8, 16), "depths": (1, 1)},
    "sparks_wide": {"widths": (8, 24), "depths": (1, 1)},
    "vgg_small": {"widths": (8, 16)},
}
"""Options that make every network small enough for a test."""

FIRST = {
    "oblivious": "conv0",
    "small": "binary0",
    "small_vgg": "conv0_1",
    "vgg_small": "conv0_1",
}


def fixed(codewords):
    return FixedSubset(codewords, seed=codewords)


def build(name, **options):
    options = {"kernel_quantizer": fixed, **SMALL[name], **options}
    return MODELS[name](SHAPE, CLASSES, **options)


def train_a_step(model, rng):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Tracing a graph for one step would be most of the time.
    model.compile("adam", loss, run_eagerly=True)
    return model.train_on_batch(rng.normal(size=(4, *SHAPE)), rng.integers(0, CLASSES, 4))


@pytest.fixture(scope="module", params=MODELS)
def trained(request):
    """Name, network after a step of training, kernels before it, loss."""
    keras.utils.set_random_seed(1)
    model = build(request.param, codewords=16)
    before = [layer.kernel.numpy() for layer in binary_layers(model)]
    return request.param, model, before, train_a_step(model, np.random.default_rng(1))


def test_the_registry_is_complete():
    assert set(SMALL) == set(MODELS)
    builders = {name: getattr(models, name) for name in models.__all__ if name != "MODELS"}
    assert {**MODELS, "residual_network": models.residual_network} == builders


def test_the_interface(trained):
    name, model, _, _ = trained
    assert model.name == name
    assert model.output_shape == (None, CLASSES)
    assert model.get_layer("classifier").compute_dtype == "float32"
    assert inspect.signature(MODELS[name]).parameters["name"].default == name
    found = binary_layers(model)
    assert all(x.input_quantizer is not None for x in found)
    found = [x for x in found if x.name != "scores"]  # of `oblivious`: over the whole map
    assert all(not x.use_bias and x.pad_values == 1.0 and x.padding == "same" for x in found)
    assert {x.kernel_quantizer.codewords for x in found if x.kernel_size == (3, 3)} == {16}
    assert {x.kernel_quantizer.codewords for x in found if x.kernel_size == (1, 1)} <= {2}


def test_every_binary_layer_learns(trained):
    _, model, before, loss = trained
    assert np.isfinite(loss)
    for layer, kernel in zip(binary_layers(model), before, strict=True):
        assert np.any(layer.kernel.numpy() != kernel), layer.name
        assert layer.kernel_constraint is not None


def test_saves_and_loads(trained, rng, tmp_path):
    _, model, _, _ = trained
    x = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


def test_clones(trained, rng):
    _, model, _, _ = trained
    x = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(x), model(x))


@pytest.mark.parametrize("name", MODELS)
def test_float_variant(name, rng):
    model = build(name, kernel_quantizer=None, activation_quantizer=None)
    assert not any(isinstance(x, lq.layers.QuantConv2D) for x in model.layers)
    binary = [x.name for x in binary_layers(build(name))]
    for layer in map(model.get_layer, binary):
        assert type(layer) is keras.layers.Conv2D
        assert type(layer.input._keras_history.layer) is keras.layers.ReLU
    assert np.all(np.isfinite(model(rng.normal(size=(4, *SHAPE)))))


@pytest.mark.parametrize("name", MODELS)
def test_codewords_of_each_layer(name):
    first = FIRST.get(name, "stage0_0")
    found = binary_layers(build(name, codewords={"*": 16, first: 64}))
    of_3x3 = {x.name: x.kernel_quantizer.codewords for x in found if x.kernel_size == (3, 3)}
    assert of_3x3.pop(first) == 64
    assert set(of_3x3.values()) == {16}


class TestMultiBit:
    @pytest.mark.parametrize(
        "name", [x for x in MODELS if not x.startswith(("adabin", "bcd", "oblivious"))]
    )
    def test_every_binary_layer(self, name, rng):
        bits = {"activation_bits": 2, "weight_bits": 3, "activation_range": "unit"}
        model = build(name, **bits)
        found = binary_layers(model)
        assert [x.name for x in found] == [x.name for x in binary_layers(build(name))]
        for layer in found:
            assert {key: getattr(layer, key) for key in bits} == bits
            assert layer.input_quantizer.bits == 2
        if name == "ftbnn18_grouped":
            assert np.all(np.isfinite(model(rng.normal(size=(4, *SHAPE)))))

    def test_one_bit_keeps_its_gradient(self):
        layer = build("small", weight_bits=2).get_layer("binary0")
        assert isinstance(layer.input_quantizer, lq.quantizers.ApproxSign)
        assert layer.pad_values == 1.0

    def test_teachers_and_first_steps(self):
        bits = {"activation_bits": 2, "activation_range": "unit"}
        model = build("small", kernel_quantizer=None, activation_quantizer=None, **bits)
        assert type(model.get_layer("binary0")) is keras.layers.Conv2D
        layer = build("small", kernel_quantizer=None, **bits).get_layer("binary0")
        assert type(layer) is lq.layers.QuantConv2D
        assert (layer.input_quantizer.value_range, layer.pad_values) == ("unit", 0.0)


class TestGroups:
    def test_by_layer_in_order_or_by_pattern(self):
        for groups in ([1, 1, 1, 2], {"stage1_0_pw": 2, "*": 1}):
            model = build("mobile_grouped", groups=groups)
            assert [x.groups for x in binary_layers(model)] == [1, 1, 1, 2]
            shuffled = [x for x in model.layers if isinstance(x, ChannelShuffle)]
            assert [x.name for x in shuffled] == ["stage1_0_pw_shuffle"]
            # Between RSign's shift and the sign.
            assert shuffled[0].input._keras_history.layer.name == "stage1_0_pw_shift"

    def test_supernet(self):
        model = build("mobile_grouped", groups="search", codewords=16)
        found = binary_layers(model)
        assert all(type(x) is SearchableGroupsConv2D for x in found)
        assert [x.choices for x in found] == [(1,), (1,), (1, 2), (1, 2)]
        assert [x.kernel_quantizer.codewords for x in found] == [16, 2, 16, 2]

    @pytest.mark.parametrize(
        ("groups", "message"),
        [
            (2, r"multiple of 32 channels, got 32 -> 32 in 2 groups \(layer stage0_0\)"),
            ([1, 1, 3, 1], r"got 64 -> 64 in 3 groups"),
            ([1, 1, 1], r"`groups` of 4 binary layers, got 3"),
            ([1] * 5, r"`groups` of 4 binary layers, got 5"),
            ({"stage1_*": 2}, r"`groups` to name every binary layer"),
            ({"x": 2, "*": 1}, r"every key of `groups` to apply to a layer, got 'x'"),
            ("all", r"a number of groups, a list .*, got 'all'"),
            ([], r"a number of groups, a list .*, got \[\]"),
        ],
    )
    def test_impossible(self, groups, message):
        with pytest.raises(SparseBNNError, match=message):
            build("mobile_grouped", groups=groups)

    def test_no_supernet_of_several_bits(self):
        with pytest.raises(SparseBNNError, match=r"one bit with groups=.* weight_bits=2"):
            build("mobile_grouped", groups="search", weight_bits=2)


class TestCodewords:
    def test_the_first_pattern_that_matches_counts(self):
        codewords = {"stage1_*": 8, "stage?_0": 64, "*": 16}
        model = build("resnet18", depths=(2, 2), codewords=codewords)
        n = {x.name: x.kernel_quantizer.codewords for x in binary_layers(model)}
        assert n == {"stage0_0": 64, "stage0_1": 16, "stage1_0": 8, "stage1_1": 8}

    def test_a_layer_without_a_key(self):
        with pytest.raises(
            SparseBNNError, match=r'no key for layer binary1 in binary0\. Add "\*"'
        ):
            build("small", codewords={"binary0": 16})
        with pytest.raises(SparseBNNError, match="layer binary0 in an empty mapping"):
            build("small", codewords={})

    @pytest.mark.parametrize("key", ["binary7", "stage*", "binary?"])
    def test_a_key_without_a_layer(self, key):
        with pytest.raises(
            SparseBNNError, match=r"every key .*, which applies to none of binary0"
        ):
            build("small", codewords={"binary*": 16, key: 32})

    @pytest.mark.parametrize("codewords", [48, 1024, "32", True, {"*": 48}])
    def test_impossible_numbers(self, codewords):
        with pytest.raises(ValueError, match=r"Expected `codewords` to be .*\(layer binary0\)"):
            build("small", codewords=codewords)


class TestQuantizers:
    @pytest.mark.parametrize(
        "builder", ["ftbnn18", "quicknet", "residual_network", "small", "vgg_small"]
    )
    def test_selection_is_learned_by_default(self, builder):
        parameters = inspect.signature(getattr(models, builder)).parameters
        assert parameters["kernel_quantizer"].default is SparseKernel
        assert parameters["codewords"].default == 32

    @pytest.mark.parametrize("quantizer", ["ste_sign", "approx_sign"])
    def test_larqs_by_name(self, quantizer):
        (first, second) = binary_layers(build("small", kernel_quantizer=lambda n: quantizer))
        assert first.kernel_quantizer.precision == second.kernel_quantizer.precision == 1

    def test_called_once_a_layer_with_its_n(self):
        asked = []
        build(
            "ftbnn18",
            binary_shortcuts=True,
            codewords={"stage0_*": 64, "stage1_*": 8},
            kernel_quantizer=lambda n: asked.append(n) or FixedSubset(n),
        )
        assert asked == [64, 2, 8]  # a 1x1 kernel has two codewords

    @pytest.mark.parametrize("method", METHODS)
    def test_every_method_also_in_binary_shortcuts(self, method, rng):
        """Kernels of 1x1 have a whole codebook of two, whatever the method."""
        n = 512 if method == "one_bit" else 16
        options = {"binary_shortcuts": True, "kernel_quantizer": METHODS[method]}
        model = build("ftbnn18", codewords=n, **options)
        assert np.all(np.isfinite(model(rng.normal(size=(4, *SHAPE)))))
        layer = model.get_layer("stage1_0_shortcut_conv")
        if layer.kernel_quantizer.stage != "codewords":
            layer.kernel_quantizer.enter("codewords", layer.kernel)
        signs = np.where(layer.kernel.numpy() >= 0, 1, -1)
        np.testing.assert_array_equal(np.sign(frozen_kernel(layer)), signs)

    def test_binary_activations_with_float_kernels(self, rng):
        """Step 1 of two-step training."""
        model = build("resnet18", kernel_quantizer=None)
        layer = model.get_layer("stage0_0")
        assert type(layer) is lq.layers.QuantConv2D
        assert layer.kernel_quantizer is None
        assert layer.kernel_constraint is None
        assert layer.pad_values == 1.0
        assert np.all(np.isfinite(model(rng.normal(size=(4, *SHAPE)))))

    def test_binary_kernels_with_float_activations(self):
        (layer, *_) = binary_layers(build("small", activation_quantizer=None))
        assert layer.input_quantizer is None
        assert layer.pad_values == 0.0


class TestResidual:
    def test_the_react_block(self):
        model = build("resnet18")
        names = [x.name for x in model.layers]
        order = [f"stage0_0{part}" for part in ("_shift", "", "_bn", "_add", "_rprelu")]
        places = [names.index(name) for name in order]
        assert places == sorted(places)
        assert isinstance(model.get_layer("stage1_0_rprelu"), RPReLU)

    def test_the_bireal_block(self):
        model = build("resnet18", block="bireal")
        assert not any(isinstance(x, (RPReLU, LearnableShift)) for x in model.layers)

    def test_unknown_block(self):
        with pytest.raises(
            SparseBNNError, match="`block` to be one of 'react', 'bireal', got 'b'"
        ):
            build("resnet18", block="b")

    def test_mixed_precision(self, rng):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        try:
            model = build("resnet18")
            assert np.all(np.isfinite(model(rng.normal(size=(4, *SHAPE)))))
            assert model.get_layer("stage1_0_rprelu").compute_dtype == "bfloat16"
        finally:
            keras.mixed_precision.set_global_policy("float32")


class TestSparks:
    def test_budget(self):
        from keras_sparsebnn.models.sparks import DEPTHS, WIDTHS, residual_cost

        resnet18 = ((64, 128, 256, 512), (4, 4, 4, 4))
        budget = residual_cost(*resnet18, None)
        for widths, depths in ((WIDTHS, resnet18[1]), (resnet18[0], DEPTHS)):
            cost = residual_cost(widths, depths, 32)
            assert 0.97 * budget.mbit < cost.mbit + cost.codebook_mbit <= budget.mbit
            assert cost.gbops <= budget.gbops
        assert (WIDTHS, DEPTHS) == ((96, 160, 352, 672), (6, 6, 10, 6))

    def test_built_as_derived(self):
        model = models.sparks_deep((8, 8, 3), 2, widths=(8, 16, 24, 32), kernel_quantizer=fixed)
        assert len(binary_layers(model)) == 28
        assert model.get_layer("stage2_9").filters == 24


class TestFTBNN:
    @pytest.mark.parametrize("kind", ["prelu", "two_sided_prelu", "hardtanh", "relu", None])
    @pytest.mark.parametrize("placement", ["after_shortcut", "before_shortcut"])
    def test_modules_and_placements(self, kind, placement):
        model = build("ftbnn18", non_linearity=kind, placement=placement)
        if kind is None:
            assert not any(x.name.endswith("_f") for x in model.layers)
            return
        module = model.get_layer("stage1_0_f")
        follows = type(module.input._keras_history.layer)
        after = placement == "after_shortcut"
        assert follows is (keras.layers.Add if after else keras.layers.BatchNormalization)
        if kind == "prelu":
            assert module.alpha.shape == (1, 1, 16)
            assert np.all(module.alpha.numpy() == 0.25)
        if kind == "two_sided_prelu":
            assert isinstance(module, TwoSidedPReLU)

    def test_binary_stem_and_shortcuts(self):
        model = build("ftbnn18", binary_stem=True, binary_shortcuts=True)
        names = [x.name for x in binary_layers(model)]
        assert sorted(names) == [
            "stage0_0",
            "stage1_0",
            "stage1_0_shortcut_conv",
            "stem_binary",
        ]
        floats = [x.name for x in model.layers if type(x) is keras.layers.Conv2D]
        assert floats == ["stem"]

    def test_a_binary_stem_halves_large_images_twice(self):
        options = {"binary_stem": True, "kernel_quantizer": fixed, **RESIDUAL}
        model = models.ftbnn18((64, 64, 3), 2, **options)
        assert model.get_layer("stage0_0").input_shape[1:3] == (16, 16)

    def test_groups_keep_the_weights(self):
        one = models.ftbnn18(SHAPE, 2, width=64, depths=(2,), kernel_quantizer=fixed)
        four = models.ftbnn18(
            SHAPE, 2, width=128, depths=(2,), groups=4, kernel_quantizer=fixed
        )
        for layer in ("stage0_0", "stage0_1"):
            wide = four.get_layer(layer)
            assert wide.groups == 4
            assert wide.kernel.shape.num_elements() == (
                one.get_layer(layer).kernel.shape.num_elements()
            )

    def test_narrow_groups(self):
        with pytest.raises(
            SparseBNNError, match=r"32 channels, got 64 -> 64 in 4 groups \(layer s"
        ):
            models.ftbnn18(SHAPE, 2, groups=4)

    def test_unknown_options(self):
        with pytest.raises(
            SparseBNNError, match="`non_linearity` to be None or one of 'prelu'"
        ):
            build("ftbnn18", non_linearity="gelu")
        with pytest.raises(SparseBNNError, match="`placement` to be one of 'after_shortcut'"):
            build("ftbnn18", placement="nowhere")


def test_the_quicknet_fuses_relu():
    model = build("quicknet")
    for layer in binary_layers(model):
        assert layer.activation is keras.activations.relu
        assert type(layer.outbound_nodes[0].outbound_layer) is keras.layers.BatchNormalization
