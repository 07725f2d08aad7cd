"""Operators without a kernel are named, with their layer and a way out."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.converters import ConversionError, convert_keras_model
from keras_sparsebnn.converters.operators import BUILTIN_VERSIONS, check_operators
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.runtime.lce_backend import import_lce
from keras_sparsebnn.tflite_file import ModelBuilder, Table
from keras_sparsebnn.tflite_file.schema import BUILTIN_OPERATORS

layers = keras.layers


def file_with(name: str, version: int = 1, *, subgraphs: int = 1, node: bool = True) -> bytes:
    """A file with one operator, in its last subgraph; `name` a builtin's or a custom code."""
    builder = ModelBuilder()
    builder.activation([1], "float32")
    builder.activation([1], "float32", name="model/layer/Op")
    builder.operator(name, [0], [1], version=version)
    if not node:
        builder.graph["operators"] = []
    empty = Table("SubGraph", tensors=builder.graph.tables("tensors"), inputs=[0], outputs=[0])
    builder.root["subgraphs"] = [*[empty] * (subgraphs - 1), builder.graph]
    return builder.to_bytes([0], [0])


def resolves(name: str, version: int) -> bool:
    """Whether LCE's interpreter finds a kernel for a builtin operator, as its loader says."""
    # Without a node nothing is prepared: only the code is looked up.
    flat = file_with(name, version, node=False)
    try:
        import_lce().LiteInterpreter(flat, 1, False, False, False)
    except RuntimeError as error:
        return "interpreter_ != nullptr" not in str(error)
    return True


class TestTable:
    def test_lce_has_exactly_these_kernels(self):
        for name in BUILTIN_OPERATORS:
            newest = BUILTIN_VERSIONS.get(name, 0)
            if name not in ("CUSTOM", "PLACEHOLDER_FOR_GREATER_OP_CODES"):
                assert newest == 0 or resolves(name, newest), name
                assert not resolves(name, newest + 1), name

    def test_stock_litert_has_them_too(self):
        litert = pytest.importorskip("ai_edge_litert.interpreter")
        for name, newest in BUILTIN_VERSIONS.items():
            flat = file_with(name, newest, node=False)
            litert.Interpreter(model_content=flat).allocate_tensors()


class TestCheck:
    @pytest.mark.parametrize(
        "name", ["LceQuantize", "LceBconv2d", "LceBMaxPool2d", "TFLite_Detection_PostProcess"]
    )
    def test_custom_operators_with_a_kernel(self, name):
        check_operators(file_with(name))

    @pytest.mark.parametrize("name", ["FlexErf", "Erf", "Nonsense"])
    def test_others_never_have_one(self, name):
        with pytest.raises(ConversionError, match=rf"got {name} \(layer layer\)"):
            check_operators(file_with(name), ["layer", "other"])

    def test_a_version_that_is_too_new(self):
        check_operators(file_with("ADD", 5))
        with pytest.raises(ConversionError, match="got ADD version 6"):
            check_operators(file_with("ADD", 6))

    def test_states_that_outlive_an_inference(self):
        builder = ModelBuilder()
        x, state, y = (builder.activation([1, 4], "float32", name=n) for n in "xsy")
        builder.operator("SVDF", [x, x, x, -1, state], [y], Table("SVDFOptions"), version=4)
        check_operators(builder.to_bytes([x], [y]))
        builder.graph.tables("tensors")[state]["is_variable"] = True
        with pytest.raises(ConversionError, match=r"keep nothing from one .* got SVDF"):
            check_operators(builder.to_bytes([x], [y]))

    def test_every_subgraph(self):
        with pytest.raises(ConversionError, match="got FlexErf"):
            check_operators(file_with("FlexErf", subgraphs=2))


def model(*parts):
    return keras.Sequential(
        [layers.Input((8, 8, 3)), layers.Conv2D(32, 3, padding="same", name="stem"), *parts]
    )


@pytest.mark.parametrize(
    ("name", "parts", "operator", "advice"),
    [
        ("binary", "gelu binary", "Erfc", "TFLite has swish"),
        ("act", [layers.Activation("softsign", name="act")], "Softsign", "TFLite has tanh"),
        (
            "up",
            [layers.UpSampling2D(interpolation="bicubic", name="up"), layers.ReLU()],
            "ResizeBicubic",
            'interpolation="bilinear"',
        ),
        ("up", [layers.Resizing(4, 4, "area", name="up")], "ResizeArea", "nearest"),
        ("up", [layers.Resizing(4, 4, "lanczos3", name="up")], "ScaleAndTranslate", "nearest"),
        (
            "pool",
            [layers.Reshape((4, 4, 4, 32)), layers.MaxPooling3D(2, name="pool")],
            "MaxPool3D",
            "a 2D pooling",
        ),
        (
            "outer/inner",
            [
                keras.Sequential([layers.Activation("softsign", name="inner")], name="outer"),
                layers.ReLU(),
            ],
            "Softsign",
            "tanh",
        ),
        (
            "twice",
            [layers.Lambda(lambda x: tf.math.atan(x) * 2.0, name="twice")],
            "Atan",
            "that consists of TFLite's operators",
        ),
    ],
)
def test_layers_that_lce_converts_in_silence(name, parts, operator, advice):
    if parts == "gelu binary":
        parts = [
            SparseBinaryConv2D(
                32,
                codewords=16,
                padding="same",
                pad_values=1.0,
                input_quantizer="ste_sign",
                activation="gelu",
                name="binary",
            ),
            layers.GlobalAveragePooling2D(),
        ]
    message = f"got {operator} (layer {name})."
    with pytest.raises(ConversionError, match=re.escape(message)) as raised:
        convert_keras_model(model(*parts))
    assert advice in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_kernel_that_does_not_take_these_types():
    doubled = layers.Lambda(lambda x: tf.cast(tf.cast(x, tf.float64) ** 2.0, tf.float32))
    with pytest.raises(ConversionError, match=r"got \w+|can load") as raised:
        convert_keras_model(model(doubled))
    assert "\n" not in str(raised.value)
