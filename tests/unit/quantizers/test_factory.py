"""One meaning of `kernel_quantizer`, in networks, layers and `restrict`."""

import functools

import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn._keras import lq
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.models import quicknet, resnet20, small
from keras_sparsebnn.quantizers import Frequent, OneBit, SparseKernel, make_quantizer

SHAPE = (8, 8, 3)


def quantizers(model):
    return [
        layer.kernel_quantizer
        for layer in model.layers
        if isinstance(layer, lq.layers.QuantConv2D) and layer.kernel_size == (3, 3)
    ]


@pytest.mark.parametrize(
    "build",
    [
        small,
        functools.partial(resnet20, depths=(1, 1, 1)),
        functools.partial(quicknet, widths=(16, 32), depths=(1, 1)),
    ],
    ids=["small", "resnet20", "quicknet"],
)
@pytest.mark.parametrize(
    ("kernel_quantizer", "cls", "n"),
    [
        ("ste_sign", lq.quantizers.SteSign, None),
        (lq.quantizers.ApproxSign, lq.quantizers.ApproxSign, None),
        (lambda n: "ste_sign", lq.quantizers.SteSign, None),
        ("frequent", Frequent, 16),
        ("sparse_kernel", SparseKernel, 16),
        (Frequent, Frequent, 16),
        (lambda n: Frequent(n, seed=1), Frequent, 16),
    ],
)
def test_networks(build, kernel_quantizer, cls, n, seeded):
    found = quantizers(build(SHAPE, 10, codewords=16, kernel_quantizer=kernel_quantizer))
    assert found
    assert len({id(quantizer) for quantizer in found}) == len(found)
    assert {(type(q), getattr(q, "codewords", None)) for q in found} == {(cls, n)}


def test_none_is_float(seeded):
    model = small(SHAPE, 10, kernel_quantizer=None, activation_quantizer=None)
    assert not any(isinstance(layer, lq.layers.QuantConv2D) for layer in model.layers)


@pytest.mark.parametrize(
    "kernel_quantizer", ["frequent", Frequent, lambda n, **o: Frequent(n, **o)]
)
def test_restrict(kernel_quantizer, seeded):
    model = small(SHAPE, 10, kernel_quantizer="ste_sign")
    found = quantizers(ksb.restrict(model, 16, kernel_quantizer=kernel_quantizer))
    assert {(type(q), q.codewords, q.stage) for q in found} == {(Frequent, 16, "codewords")}


def test_restrict_to_a_quantizer_without_codewords(seeded):
    model = small(SHAPE, 10, kernel_quantizer="ste_sign")
    with pytest.raises(ValueError, match="a quantizer with codewords, got SteSign"):
        ksb.restrict(model, 16, kernel_quantizer="ste_sign")


def test_layer():
    layer = SparseBinaryConv2D(8, codewords=16, kernel_quantizer="frequent")
    assert (type(layer.kernel_quantizer), layer.kernel_quantizer.codewords) == (Frequent, 16)
    assert SparseBinaryConv2D(8, kernel_quantizer="one_bit").kernel_quantizer.codewords == 512
    assert type(SparseBinaryConv2D(8, kernel_quantizer=OneBit).kernel_quantizer) is OneBit
    copy = SparseBinaryConv2D.from_config(layer.get_config())
    assert copy.kernel_quantizer.get_config() == layer.kernel_quantizer.get_config()
    with pytest.raises(ValueError, match="`codewords` or `kernel_quantizer`, got both"):
        SparseBinaryConv2D(8, codewords=16, kernel_quantizer=Frequent(16))


@pytest.mark.parametrize(
    ("kernel_quantizer", "message"),
    [
        ("frequend", "Expected the name of a quantizer, got 'frequend'. Did you mean frequent"),
        ("relu", "Expected the name of a quantizer, got 'relu'"),
        (3, "a name, a class or a function of n, got 3"),
    ],
)
def test_errors(kernel_quantizer, message):
    with pytest.raises(ValueError, match=message):
        make_quantizer(kernel_quantizer, 16)


def test_one_object_for_all_layers(seeded):
    shared = SparseKernel(16, name="shared")
    with pytest.raises(ValueError, match="got the quantizer shared"):
        small(SHAPE, 10, kernel_quantizer=shared)
