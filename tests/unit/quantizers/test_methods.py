"""The table of methods, and the decorator that holds classes to it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn import quantizers
from keras_sparsebnn._keras import keras
from keras_sparsebnn.quantizers import SNN, FixedSubset, SparseKernel, methods
from keras_sparsebnn.quantizers.register import register_quantizer


def test_importing_the_table_imports_no_tensorflow():
    code = (
        "import keras_sparsebnn.quantizers.methods, sys; "
        "assert not {'tensorflow', 'numpy', 'larq'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("method", sorted(methods.METHODS))
def test_file_class_and_alias_have_one_name(method):
    cls, line = quantizers.METHODS[method], methods.METHODS[method]
    assert cls.__name__ == line.quantizer
    assert cls.__module__ == f"keras_sparsebnn.quantizers.{line.alias}"
    assert keras.utils.get_registered_object(f"keras_sparsebnn>{cls.__name__}") is cls
    assert keras.utils.get_registered_object(line.alias) is cls


def test_the_page_explains_all_methods_and_options():
    page = (Path(__file__).parents[3] / "docs" / "methods.md").read_text("utf-8")
    for method, options in methods.OPTIONS.items():
        assert f"| `{method}` | `{quantizers.METHODS[method].__name__}` |" in page
        assert [name for name in options if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (SparseKernel, {"temperature": 0}, r"`temperature` to be a number in \(0, 1e\+06\]"),
        (SparseKernel, {"matcher": "x"}, "`matcher` to be one of graph, scipy, got 'x'"),
        (SNN, {"refinement_interval": True}, "`refinement_interval` to be an integer"),
        (FixedSubset, {"gradient": None}, "`gradient` to be one of clip, approx, ede"),
    ],
)
def test_constructors_obey_the_rules(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls(16, **options)


def test_numbers_of_numpy_are_fine():
    q = SparseKernel(16, temperature=np.float32(2), refresh_interval=np.int64(3), logits="free")
    assert q.get_config()["refresh_interval"] == 3
    assert FixedSubset(np.int64(32), seed=np.int64(3)).get_config()["codewords"] == 32


class TestDecorator:
    def test_a_class_of_ones_own(self):
        @register_quantizer("mine_of_the_test", package="test")
        class MineOfTheTest(FixedSubset):
            pass

        layer = keras.layers.deserialize(
            {
                "class_name": "QuantConv2D",
                "config": {
                    "filters": 8,
                    "kernel_size": 3,
                    "kernel_quantizer": "mine_of_the_test",
                    "kernel_constraint": "weight_clip",
                },
            }
        )
        assert type(layer.kernel_quantizer) is MineOfTheTest
        assert keras.utils.get_registered_name(MineOfTheTest) == "test>MineOfTheTest"

    def test_a_name_that_is_taken(self):
        with pytest.raises(ValueError, match="'ste_sign', which larq"):

            @register_quantizer("ste_sign", package="test")
            class Other(FixedSubset):
                pass

        with pytest.raises(ValueError, match="'SNN', which keras_sparsebnn"):
            register_quantizer("another", package="test")(type("SNN", (FixedSubset,), {}))

    def test_a_class_that_differs_from_its_line(self):
        def other_default(self, codewords=32, *, pattern_scale=2.0, **kwargs):
            SNN.__init__(self, codewords, pattern_scale=pattern_scale, **kwargs)

        twin = type("SNN", (SNN,), {"__init__": other_default, "__qualname__": "SNN"})
        twin.__module__ = SNN.__module__
        with pytest.raises(ValueError, match="Expected SNN to be 'snn' with the options"):
            register_quantizer("snn")(twin)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("clip_value", -1.0), ("clip_value", 0), ("clip_value", float("nan"))),
        *(("standardize", "no"), ("magnitude_scale", 1), ("seed", -1)),
    ],
)
@pytest.mark.parametrize("method", ["one_bit", "learned", "facility_location"])
def test_arguments_obey_the_rules_of_the_options(method, name, value):
    with pytest.raises(ValueError, match=f"Expected `{name}` to be "):
        quantizers.METHODS[method](16, **{name: value})
