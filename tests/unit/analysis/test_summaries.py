"""ksb.summary: per layer and in total, as table and as dict."""

import json

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.models import small
from keras_sparsebnn.quantizers import SparseKernel


@pytest.fixture
def model(seeded):
    return small((8, 8, 1), 10, kernel_quantizer=lambda n: SparseKernel(16))


def test_layers_and_totals(model):
    report = ksb.summary(model)
    assert [layer.name for layer in report.layers] == [f"binary{i}" for i in range(5)]
    first = report.layers[0]
    assert first.kernel_shape == (3, 3, 32, 32)
    assert first.codewords == 16
    assert 1 < first.distinct <= 16
    assert first.bits_per_weight == pytest.approx(4 / 9)
    # H W Cin (9 n + Cout / 2), 16 codewords, 8x8 map.
    assert first.bops == 8 * 8 * 32 * (9 * 16 + 16)
    assert 0 < first.usage_entropy <= 4
    weights = 9 * (2 * 32 * 32 + 32 * 64 + 2 * 64 * 64)
    assert report.totals.weights == weights
    assert report.totals.mbit == pytest.approx(weights * 4 / 9 / 1e6)
    assert report.totals.codebook_mbit == pytest.approx(5 * 16 * 9 / 1e6)


def test_other_parameters_are_what_freezing_leaves(model):
    report = ksb.summary(model)
    frozen = ksb.freeze(model)
    assert report.other_parameters == frozen.count_params() - report.totals.weights


def test_frozen_and_plain_models_count_as_one_bit(model):
    report = ksb.summary(ksb.freeze(model))
    assert {layer.codewords for layer in report.layers} == {None}
    assert report.totals.bits_per_weight == 1
    # What is used stays visible.
    used = [layer.distinct for layer in ksb.summary(model).layers]
    assert [layer.distinct for layer in report.layers] == used


def test_table(model):
    lines = str(ksb.summary(model)).splitlines()
    assert lines[0].split()[:4] == ["layer", "kernel", "n", "used"]
    assert lines[-2].startswith("total")
    assert "other parameters" in lines[-1]
    assert len({len(line) for line in lines[1:2] + lines[-3:-2]}) == 1


def test_dict_is_json(model):
    loaded = json.loads(json.dumps(ksb.summary(model).to_dict()))
    assert loaded["totals"]["weights"] == ksb.summary(model).totals.weights
    assert len(loaded["layers"]) == 5


def test_unknown_map_size_has_no_bops(seeded):
    inputs = keras.layers.Input((None, None, 4))
    model = keras.Model(
        inputs, SparseBinaryConv2D(8, 3, codewords=4, input_quantizer="ste_sign")(inputs)
    )
    report = ksb.summary(model)
    assert report.layers[0].bops is None
    assert np.isfinite(report.totals.gbops)
    assert " - " in str(report)


def test_nested_models_and_float_layers(seeded):
    inner = keras.Sequential(
        [
            keras.layers.Input((6, 6, 8)),
            SparseBinaryConv2D(8, 3, codewords=4, input_quantizer="ste_sign", name="inside"),
            lq.layers.QuantConv2D(8, 3, name="float"),
        ]
    )
    inputs = keras.layers.Input((6, 6, 8))
    report = ksb.summary(keras.Model(inputs, inner(inputs)))
    assert [layer.name for layer in report.layers] == ["inside"]


def test_binary_layers_that_stay_float(seeded):
    sign = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
    layers = [
        keras.layers.Input((6, 6, 8)),
        lq.layers.QuantConv2D(8, 3, input_quantizer="ste_sign", name="binary", **sign),
        SparseBinaryConv2D(8, 3, codewords=4, name="no_sign"),
        lq.layers.QuantConv2DTranspose(8, 3, input_quantizer="ste_sign", name="up", **sign),
        keras.layers.Flatten(),
        lq.layers.QuantDense(2, input_quantizer="ste_sign", name="dense", **sign),
    ]
    model = keras.Sequential(layers)
    report = ksb.summary(model)
    assert [layer.name for layer in report.layers] == ["binary"]
    assert report.totals.weights == 9 * 8 * 8
    assert report.other_parameters == ksb.freeze(model).count_params() - 9 * 8 * 8
    assert list(report.stay_float) == ["no_sign", "up", "dense"]
    assert "float in a file: no_sign: it has no input quantizer" in str(report)
    assert json.loads(json.dumps(report.to_dict()))["stay_float"] == report.stay_float


def test_no_binary_layer_is_an_empty_table(seeded):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    report = ksb.summary(model)
    assert report.layers == []
    assert report.other_parameters == 10
    assert "total" in str(report)
