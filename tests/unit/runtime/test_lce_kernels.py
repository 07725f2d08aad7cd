"""Zero padding on small maps: where LCE's fast kernels are wrong, and nobody is misled."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from larq_compute_engine.tflite.python.interpreter import Interpreter as LCEInterpreter

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.cli import main
from keras_sparsebnn.converters import ConversionWarning, convert_keras_model, verify
from keras_sparsebnn.converters.filters.packed import packed_filters
from keras_sparsebnn.runtime import Interpreter
from keras_sparsebnn.runtime.lce_kernels import filter_extent, pads_small_map_with_zeros
from keras_sparsebnn.tflite_file import read


def binary(kernel_size=3, **options):
    return lq.layers.QuantConv2D(
        16,
        kernel_size,
        input_quantizer="ste_sign",
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
        use_bias=False,
        **{"padding": "same", "name": "binary", **options},
    )


def model(shape, *layers):
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.layers.Input((*shape, 32)), *layers])


@pytest.mark.parametrize(
    ("shape", "options", "extent"),
    [
        ((2, 2), {}, (3, 3)),
        ((8, 2), {}, (3, 3)),
        ((1, 8), {"strides": 2}, (3, 3)),
        ((4, 4), {"dilation_rate": 2}, (5, 5)),
        ((4, 9), {"kernel_size": 5}, (5, 5)),
    ],
)
def test_what_lce_gets_wrong_is_known(shape, options, extent, rng):
    net = model(shape, binary(**options))
    with pytest.warns(ConversionWarning) as caught:
        flat = convert_keras_model(net)
    (warning,) = caught
    text = str(warning.message)
    assert f"Layer binary pads a map of {shape[0]}x{shape[1]} with zeros" in text
    assert f"spans {extent[0]}x{extent[1]}" in text
    assert "pad_values=1.0" in text
    (packed,) = packed_filters(read(flat))
    assert pads_small_map_with_zeros(packed.operator, packed.input, packed.filter)
    assert filter_extent(packed.operator, packed.filter) == extent
    inputs = rng.normal(size=(4, *shape, 32)).astype(np.float32)
    expected = net.predict(inputs, verbose=0)
    # Should this fail, LCE has mended its kernels, and all of this can go.
    assert not np.array_equal(LCEInterpreter(flat).predict(inputs), expected)
    reference = LCEInterpreter(flat, use_reference_bconv=True)
    np.testing.assert_array_equal(reference.predict(inputs), expected)
    report = verify(net, flat, inputs)
    assert report.max_abs_difference == 0
    interpreter = Interpreter(flat, runtime="lce")
    assert interpreter.runtime == "lce, reference kernel"
    np.testing.assert_array_equal(interpreter.predict(inputs), expected)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3, 3), {}),
        ((2, 2), {"pad_values": 1.0}),
        ((2, 2), {"kernel_size": 1}),
        ((3, 3), {"padding": "valid"}),
        ((5, 5), {"dilation_rate": 2}),
    ],
)
def test_everything_else_is_right(shape, options, rng):
    net = model(shape, binary(**options))
    flat = convert_keras_model(net)  # warnings are errors
    (packed,) = packed_filters(read(flat))
    assert not pads_small_map_with_zeros(packed.operator, packed.input, packed.filter)
    assert Interpreter(flat, runtime="lce").runtime == "lce"
    inputs = rng.normal(size=(4, *shape, 32)).astype(np.float32)
    np.testing.assert_array_equal(
        LCEInterpreter(flat).predict(inputs), net.predict(inputs, verbose=0)
    )


def test_inside_a_network(rng):
    """Layers that shrink the map below their filters, as larq's default padding allows."""
    blocks = [
        layer
        for number in range(3)
        for layer in (
            binary(strides=2, name=f"binary{number}"),
            keras.layers.BatchNormalization(
                beta_initializer=keras.initializers.RandomNormal(0, 2, seed=number)
            ),
        )
    ]
    net = model((8, 8), *blocks)
    # 16 channels after the first: no matter for the padding.
    with pytest.warns(ConversionWarning, match="Layer binary2 pads a map of 2x2"):
        flat = convert_keras_model(net)
    inputs = rng.normal(size=(16, 8, 8, 32)).astype(np.float32)
    assert verify(net, flat, inputs).argmax_agreement == 1


def test_benchmark_says_which_kernel_it_timed(tmp_path, capsys):
    with pytest.warns(ConversionWarning):
        flat = convert_keras_model(model((2, 2), binary()))
    (tmp_path / "small.tflite").write_bytes(flat)
    command = ["benchmark", str(tmp_path / "small.tflite"), "--runs", "1", "--warmup", "1"]
    assert main([*command, "--runtime", "lce"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert "lce, reference kernel" in line
    assert line.split()[-1] == "-"  # no ratio to LCE's fast kernel
