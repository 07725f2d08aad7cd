"""Every network through LCE's converter, in both formats, with random weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

lce_interpreter = pytest.importorskip(
    "larq_compute_engine.tflite.python.interpreter", reason="needs the [convert] extra"
)

from keras_sparsebnn._keras import keras, lq  # noqa: E402
from keras_sparsebnn.converters import (  # noqa: E402
    ConversionError,
    convert_file,
    convert_keras_model,
    inspect,
)
from keras_sparsebnn.models import MODELS  # noqa: E402
from keras_sparsebnn.quantizers import FixedSubset  # noqa: E402
from keras_sparsebnn.runtime import Interpreter, delegate_library  # noqa: E402
from keras_sparsebnn.runtime.delegate import DelegateOptions, profile_json  # noqa: E402
from keras_sparsebnn.runtime.stock_backend import import_stock  # noqa: E402
from keras_sparsebnn.transforms.freezing import freeze  # noqa: E402

SHAPE, CLASSES = (8, 8, 3), 4
RESIDUAL = {"width": 16, "depths": (1, 1)}
SMALL = {
    "adabin18": RESIDUAL,
    "adabin20": RESIDUAL,
    "bcd_resnet18": {**RESIDUAL, "mlp_groups": 1, "shift": "pad"},
    "bcdnet_a": {"width": 8, "depths": (1,), "mlp_groups": 1},
    "bcdnet_b": {"width": 8, "depths": (1, 1), "mlp_groups": 0},
    "ftbnn18": {**RESIDUAL, "non_linearity": "two_sided_prelu"},
    "ftbnn18_grouped": {"width": 64, "groups": 2, "depths": (1, 1)},
    "mobile_grouped": {"width": 32, "depths": (1, 1), "groups": [1, 1, 2, 2]},
    "oblivious": {"levels": 2, "widths": (8, 40)},
    "quicknet": {"widths": (16, 32), "depths": (1, 1)},
    "resnet18": RESIDUAL,
    "resnet20": {**RESIDUAL, "block": "bireal"},
    "resnet34": {"width": 16, "depths": (2, 1)},
    "small": {"widths": (16, 32)},
    "small_vgg": {"widths": (16, 32)},
    "sparks_deep": {"widths": (16, 24), "depths": (2, 1)},
    "sparks_wide": {"widths": (16, 40), "depths": (1, 1)},
    "vgg_small": {"widths": (16, 64)},
}
BINARY = {
    "adabin18": 4,
    "adabin20": 4,
    "bcd_resnet18": 12,
    "bcdnet_a": 12,
    "bcdnet_b": 4,
    "ftbnn18_grouped": 4,
    "mobile_grouped": 4,
    "oblivious": 3,
    "resnet34": 3,
    "small_vgg": 3,
    "sparks_deep": 3,
    "vgg_small": 3,
}


def scramble(model, rng):
    """Parameters as training may leave them: no zero shift, scale or slope that folds away."""
    for layer in model.layers:
        weights = layer.get_weights()
        if isinstance(layer, keras.layers.BatchNormalization):
            (count,) = weights[0].shape
            gamma, beta, mean = rng.normal(size=(3, count)) * [[1], [1], [10]]
            layer.set_weights([gamma, beta, mean, rng.uniform(0.5, 20, count)])
        elif weights and not isinstance(layer, (lq.layers.QuantConv2D, keras.layers.Dense)):
            layer.set_weights([rng.normal(size=w.shape) for w in weights])


# Float ops of their shortcuts, in maps that are large enough for the delegate to run them.
SHORTCUTS = {
    "adabin18": 2,
    "bcd_resnet18": 2,
    "ftbnn18": 2,
    "ftbnn18_grouped": 1,
    "quicknet": 1,
    "resnet18": 2,
    "resnet20": 2,
    "resnet34": 2,
    "small": 2,
    "sparks_deep": 2,
    "sparks_wide": 2,
}


def make(name, shape):
    keras.utils.set_random_seed(2)
    options = {"codewords": 16, "kernel_quantizer": lambda n: FixedSubset(n, seed=n)}
    model = MODELS[name](shape, CLASSES, **options, **SMALL[name])
    scramble(model, np.random.default_rng(2))
    return model


@pytest.fixture(scope="module", params=MODELS)
def converted(request):
    """Name, model, LCE file; converting asserts that every binary layer is one operator."""
    model = make(request.param, SHAPE)
    return request.param, model, convert_keras_model(model)


def outputs(flat, x):
    return Interpreter(flat, runtime="delegate").predict(x)


def test_every_binary_layer_is_one_operator(converted):
    name, _, flat = converted
    found = inspect(flat)
    assert found.operators["LceBconv2d"] == BINARY.get(name, 2)
    # SAME, padded with +1: nothing is left for another operator to do.
    scores = 1 if name == "oblivious" else 0  # over the whole map, without padding
    assert sum(x.options["padding"] != 0 for x in found.binary_layers) == scores
    assert sum(x.options["pad_values"] != 1 for x in found.binary_layers) == scores


def run(flat, x, *, xnnpack=True, **options):
    """The output in a stock interpreter with the delegate, and the nodes of its profile."""
    _, library = import_stock()
    kind = library.OpResolverType
    resolver = kind.AUTO if xnnpack else kind.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    strings = DelegateOptions(profile=True, **options).strings()
    delegate = library.load_delegate(str(delegate_library()), strings)
    interpreter = library.Interpreter(
        model_content=flat,
        experimental_delegates=[delegate],
        experimental_op_resolver_type=resolver,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    nodes = [n for p in json.loads(profile_json(delegate))["partitions"] for n in p["nodes"]]
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), nodes


@pytest.mark.parametrize("xnnpack", [True, False])
def test_float_ops_that_the_delegate_runs_change_no_bit(converted, xnnpack):
    """The runtime's own ops, by XNNPACK and built in, against the delegate's.

    A convolution's bits are XNNPACK's: built in, the runtime runs it in both cases.
    """
    name, _, flat = converted
    x = np.random.default_rng(4).normal(size=(1, *SHAPE)).astype(np.float32)
    results = []
    for glue in (False, True):
        result, nodes = run(flat, x, xnnpack=xnnpack, glue=glue, stem=xnnpack)
        results.append(result)
        fused = sum(n["kernel"].startswith("in node") for n in nodes)
        if glue and name != "oblivious":  # which has bits only
            assert fused > 0 or not xnnpack  # some have a single op, and that follows the stem
        else:
            assert fused == 0
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("name", SHORTCUTS)
def test_shortcuts_that_the_delegate_runs_change_no_bit(name):
    """XNNPACK's AVERAGE_POOL_2D and CONV_2D of 1x1 against the delegate's."""
    flat = convert_keras_model(make(name, (32, 32, 3)))
    x = np.random.default_rng(4).normal(size=(1, 32, 32, 3)).astype(np.float32)
    theirs, _ = run(flat, x, glue=False)
    ours, nodes = run(flat, x)
    np.testing.assert_array_equal(ours, theirs)
    shortcuts = {"AVERAGE_POOL_2D", "CONV_2D"}
    floats = [n for n in nodes if n["op"] in shortcuts and not n["kernel"].startswith("stem")]
    assert len(floats) == SHORTCUTS[name]


@pytest.mark.parametrize("name", sorted(SHORTCUTS.keys() - {"ftbnn18_grouped"}))  # pools only
def test_int8_shortcuts_that_the_delegate_runs_change_no_bit(name):
    """XNNPACK's QUANTIZE, CONV_2D of 1x1 and DEQUANTIZE against the delegate's."""
    x = np.random.default_rng(4).normal(size=(1, 32, 32, 3)).astype(np.float32)
    layers = ["shortcuts", "classifier"]
    flat = convert_keras_model(
        make(name, (32, 32, 3)), int8_layers=layers, calibration_images=x
    )
    theirs, _ = run(flat, x, glue=False)
    ours, nodes = run(flat, x)
    np.testing.assert_array_equal(ours, theirs)
    found = [n for n in nodes if n["kernel"].startswith("1x1 int8 ")]
    assert found
    assert not [n for n in nodes if n["op"] == "CONV_2D" and n["kernel"].startswith("1x1 avx")]


def test_an_int8_stem_that_the_delegate_runs_changes_no_bit(converted):
    """XNNPACK's QUANTIZE, CONV_2D, MAX_POOL_2D and DEQUANTIZE against the delegate's."""
    name, _, flat = converted
    x = np.random.default_rng(4).normal(size=(1, *SHAPE)).astype(np.float32)
    try:
        flat = convert_file(flat, int8_layers=["stem"], calibration_images=x)
    except ConversionError:
        assert name == "oblivious"  # a binary stem
        return
    theirs, _ = run(flat, x, stem=False)
    ours, nodes = run(flat, x)
    np.testing.assert_array_equal(ours, theirs)
    claimed = any(n["kernel"].startswith("stem int8") for n in nodes)
    assert claimed == (name != "quicknet")  # which begins with more than a convolution


def test_the_sub_bit_file_holds_the_same(converted):
    _, _, flat = converted
    small = convert_file(flat, "subbit")
    assert len(small) < len(flat)
    ours, theirs = (inspect(convert_file(small, "lce")), inspect(flat))
    assert ours.operators == theirs.operators
    x = np.random.default_rng(3).normal(size=(4, *SHAPE)).astype(np.float32)
    np.testing.assert_array_equal(outputs(small, x), outputs(flat, x))


def test_the_file_computes_what_keras_does(converted):
    _, model, flat = converted
    x = np.random.default_rng(3).normal(size=(4, *SHAPE)).astype(np.float32)
    # Float layers round differently; a sum that this moves over zero flips a sign, which it
    # does for none of these images.
    expected = freeze(model)(x).numpy()
    np.testing.assert_allclose(outputs(flat, x), expected, rtol=1e-3, atol=1e-3)


def test_lce_and_the_delegate_agree(converted):
    name, _, flat = converted
    x = np.random.default_rng(4).normal(size=(4, *SHAPE)).astype(np.float32)
    # LCE's optimised kernel refuses groups.
    grouped = name.endswith("grouped")
    theirs = lce_interpreter.Interpreter(flat, use_reference_bconv=grouped).predict(x)
    # The float operators are of two versions of TFLite: sums of up to 27 * 64 products.
    np.testing.assert_allclose(outputs(flat, x), theirs, rtol=1e-4, atol=1e-4)


def test_more_bits_in_groups():
    """In a stage and in the stem."""
    bits = {"activation_bits": 2, "activation_range": "unit"}
    options = {**SMALL["ftbnn18_grouped"], "depths": (1,), "codewords": 16, **bits}
    model = MODELS["ftbnn18_grouped"](SHAPE, CLASSES, kernel_quantizer=FixedSubset, **options)
    scramble(model, np.random.default_rng(2))
    flat = convert_keras_model(model)
    found = inspect(flat)
    assert sorted(x.groups for x in found.binary_layers) == [1, 1, 2, 2]
    x = np.random.default_rng(3).normal(size=(4, *SHAPE)).astype(np.float32)
    np.testing.assert_allclose(outputs(flat, x), freeze(model)(x), rtol=1e-3, atol=1e-3)


def test_what_each_network_is_made_for(converted):
    name, _, flat = converted
    found = inspect(flat)
    if name == "quicknet":
        # ReLU is in the convolution: only the transition's and the stem's may be left.
        assert {x.options["fused_activation_function"] for x in found.binary_layers} == {1}
        assert "RELU" not in found.operators
    elif "vgg" in name:
        types = [x.output_type for x in found.binary_layers]
        assert types == ["bits", "bits", "FLOAT32"]
        assert found.operators["LceQuantize"] == found.operators["LceBMaxPool2d"] == 1
    elif name == "ftbnn18_grouped":
        assert sorted(x.groups for x in found.binary_layers) == [1, 1, 2, 2]
        kernels = {x.filter_shape[1] for x in found.binary_layers}
        assert kernels == {1, 3}
    elif name == "mobile_grouped":
        assert [x.groups for x in found.binary_layers] == [1, 1, 2, 2]
        assert found.operators["TRANSPOSE"] == 2
        assert found.operators["LceQuantize"] == len(found.binary_layers)
    elif name == "bcdnet_a":
        # Three blocks, each with two shifts of four quarters; a stage that doubles channels.
        assert found.operators["SLICE"] == 3 * 16
        assert found.operators["CONCATENATION"] == 3 * 10 + 1
        assert found.operators["LceQuantize"] == len(found.binary_layers)
    elif name == "bcd_resnet18":
        assert found.operators["SLICE"] == found.operators["PADV2"] == 3 * 8
        assert found.operators["CONCATENATION"] == 3 * 2
    elif name == "bcdnet_b":
        assert found.operators["FULLY_CONNECTED"] == 3 * len(found.binary_layers) + 1
        assert found.operators["MEAN"] == len(found.binary_layers) + 1
    elif name in ("resnet18", "resnet34", "sparks_wide", "sparks_deep"):
        layers = len(found.binary_layers)
        assert found.operators["PRELU"] == layers
        # The shift before the sign, the shortcut, and RPReLU's two shifts.
        assert found.operators["ADD"] + found.operators.get("SUB", 0) == 4 * layers
