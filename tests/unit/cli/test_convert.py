"""`sparsebnn convert`: what it passes on and what it says beside the sizes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.cli import main
from keras_sparsebnn.converters import compress, inspect
from keras_sparsebnn.quantizers import FixedSubset

L = keras.layers
SIGNS = {
    "input_quantizer": "ste_sign",
    "kernel_quantizer": "ste_sign",
    "kernel_constraint": "weight_clip",
    "use_bias": False,
}


@pytest.fixture
def source(tmp_path):
    """A model file of given layers."""

    def save(*layers, shape=(2, 2, 32)):
        keras.utils.set_random_seed(1)
        path = tmp_path / "model.keras"
        keras.Sequential([L.Input(shape), *layers]).save(path)
        return path

    return save


@pytest.fixture
def convert(tmp_path, capsys):
    """Converts, and returns the report on the file and what was printed."""

    def run(path, *options):
        output = tmp_path / "model.tflite"
        assert main(["convert", str(path), "-o", str(output), *options]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return inspect(output), captured.out

    return run


def refused(capsys, *argv):
    assert main([str(argument) for argument in argv]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_notes_on_layers(source, convert):
    path = source(
        lq.layers.QuantConv2D(32, 3, padding="same", name="small", **SIGNS),
        L.Flatten(),
        lq.layers.QuantDense(4, name="dense", **SIGNS),
    )
    _, out = convert(path, "--verify", "4")
    notes = [line for line in out.splitlines() if line.startswith("Note: ")]
    assert len(notes) == 2
    assert "Layer dense has binary kernels but runs in float" in notes[0]
    assert "Layer small pads a map of 2x2 with zeros" in notes[1]


def test_no_notes(source, convert):
    path = source(lq.layers.QuantConv2D(32, 3, padding="same", pad_values=1.0, **SIGNS))
    assert "Note:" not in convert(path, "--verify", "4")[1]


def test_a_sub_bit_file_that_would_save_nothing(source, convert, tmp_path):
    path = source(L.Flatten(), L.Dense(3))
    report, out = convert(path, "--format", "subbit")
    assert "Note: no filter would be smaller as codebook indices" in out
    assert "SparsebnnBconv2d" not in report.operators
    other = tmp_path / "other.tflite"
    other.write_bytes((tmp_path / "model.tflite").read_bytes())
    assert "Note: no filter" in convert(other, "--format", "subbit")[1]


def test_a_sub_bit_file_that_saves_something(source, convert):
    kernels = {**SIGNS, "kernel_quantizer": FixedSubset(4, seed=1)}
    path = source(lq.layers.QuantConv2D(128, 3, **kernels), shape=(4, 4, 128))
    report, out = convert(path, "--format", "subbit", "--verify", "2")
    assert "Note:" not in out
    assert "SparsebnnBconv2d" in report.operators


def test_options_of_lce(source, convert, capsys, tmp_path):
    path = source(L.Conv2D(4, 2), L.Flatten(), L.Dense(3))
    options = ["--default-int8-range", "-6", "6", "--verify", "0", "--target", "arm"]
    types = ["--inference-input-type", "int8", "--inference-output-type", "int8"]
    report, _ = convert(path, *options, *types)
    assert [x.dtype for x in (*report.inputs, *report.outputs)] == ["INT8", "INT8"]
    output = tmp_path / "other.tflite"
    line = refused(capsys, "convert", path, "-o", output, *types)
    assert "Expected a model with quantized inputs" in line
    line = refused(capsys, "convert", path, "-o", output, *options[:3])
    assert "Expected --verify 0 with --default-int8-range" in line
    line = refused(capsys, "convert", tmp_path / "model.tflite", "-o", output, *types)
    assert "a .tflite only changes its format" in line
    assert not output.exists()


def test_damaged_files_are_named(tmp_path, capsys, convert, source):
    path = source(L.Flatten(), L.Dense(3))
    convert(path)
    data = (tmp_path / "model.tflite").read_bytes()
    damaged = tmp_path / "damaged.tflite"
    for content in (b"no flatbuffer", data[: len(data) // 2], b""):
        damaged.write_bytes(content)
        for options in ([], ["--format", "subbit"], ["--weights", "int8"]):
            line = refused(capsys, "convert", damaged, "-o", tmp_path / "x.tflite", *options)
            assert str(damaged) in line


def test_compressed_twice_is_the_same(source, convert, tmp_path):
    kernels = {**SIGNS, "kernel_quantizer": FixedSubset(4, seed=1)}
    path = source(lq.layers.QuantConv2D(128, 3, **kernels), shape=(4, 4, 128))
    convert(path, "--verify", "0")
    small = tmp_path / "small.tflite"
    small.write_bytes(compress((tmp_path / "model.tflite").read_bytes()))
    assert "Note:" not in convert(small, "--format", "subbit")[1]
    assert np.array_equal(
        np.frombuffer(small.read_bytes(), np.uint8),
        np.frombuffer((tmp_path / "model.tflite").read_bytes(), np.uint8),
    )
