"""`sparsebnn convert`: what it makes, says and refuses."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn import data, saved_models
from keras_sparsebnn.cli import main

pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.converters import compress, expand, inspect, quantize_weights
from keras_sparsebnn.converters.int8_layers import ranges_of
from keras_sparsebnn.quantizers import FixedSubset
from keras_sparsebnn.runtime import Interpreter
from keras_sparsebnn.tflite_file import read

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


class TestConvert:
    def test_predicts_what_keras_predicts(self, run_folder, tflite_file):
        model = saved_models.load_model(run_folder / "model.keras")
        (images, _), *_ = data.load("digits").test(40)
        expected = model.predict(images, verbose=0).argmax(axis=1)
        got = Interpreter(tflite_file).predict(images.numpy()).argmax(axis=1)
        np.testing.assert_array_equal(got, expected)

    def test_says_what_it_did(self, run_folder, tmp_path, capsys):
        output = tmp_path / "m.tflite"
        output.write_text("an old one")
        assert main(["convert", str(run_folder), "-o", str(output), "--verify", "3"]) == 0
        out = capsys.readouterr().out
        size = output.stat().st_size
        assert "Checked on 3 test images of digits." in out
        assert f"{output}: {size:,} bytes" in out
        assert f"Next: sparsebnn benchmark {output}" in out
        assert [path.name for path in tmp_path.iterdir()] == ["m.tflite"]

    def test_sub_bit_with_int8_weights(self, run_folder, tflite_file, tmp_path, capsys):
        output = tmp_path / "small.tflite"
        options = ["--format", "subbit", "--weights", "int8", "--verify", "100"]
        assert main(["convert", str(run_folder), "-o", str(output), *options]) == 0
        out = capsys.readouterr().out
        plain, small = tflite_file.read_bytes(), output.read_bytes()
        assert "SparsebnnBconv2d" in inspect(small).operators
        assert inspect(expand(small)).operators == inspect(quantize_weights(plain)).operators
        assert re.search(r"accuracy \d+\.\d\d % -> \d+\.\d\d % \([+-]\d\.\d\d points\)", out)
        sizes = dict(re.findall(r"^(\S[^:]*?) +([\d,]+)$", out, re.MULTILINE))
        assert sizes["LCE file"] == f"{len(plain):,}"
        assert sizes["with int8 weights"] == f"{len(quantize_weights(plain)):,}"
        assert sizes["sub-bit"] == f"{len(small):,}"

    def test_int8_layers(self, run_folder, tmp_path, capsys, fails):
        output = tmp_path / "stem.tflite"
        options = ["--stem", "int8", "--calibrate", "300", "--verify", "100"]
        options += ["--classifier", "int8"]
        assert main(["convert", str(run_folder), "-o", str(output), *options]) == 0
        out = capsys.readouterr().out
        image, *others = ranges_of(read(output)).values()
        assert [*map(len, (image, *others))] == [2, 2]
        assert image[0].scale == pytest.approx(2 / 255)  # of images in [-1, 1]
        assert re.search(r"accuracy \d+\.\d\d % -> \d+\.\d\d % \([+-]\d\.\d\d points\)", out)
        assert re.search(
            rf"^with int8 stem and classifier +{output.stat().st_size:,}$", out, re.MULTILINE
        )
        model = ["convert", str(run_folder / "model.keras"), "-o", str(tmp_path / "x.tflite")]
        for kind in ("stem", "shortcuts", "classifier"):
            told = fails(*model, f"--{kind}", "int8")
            assert f"Expected a run folder for --{kind} int8" in told
        source = ["convert", str(run_folder), "-o", str(tmp_path / "x.tflite")]
        assert "--calibrate in [1, 1000000], got 0" in fails(*source, "--calibrate", "0")

    def test_a_tflite_changes_its_format_and_back(self, tflite_file, tmp_path, capsys):
        small, again = tmp_path / "small.tflite", tmp_path / "again.tflite"
        code = (
            "import sys; from keras_sparsebnn.cli import main; status = main(sys.argv[1:]); "
            "sys.exit(status or 'tensorflow' in sys.modules)"
        )
        command = ["convert", tflite_file, "-o", small, "--format", "subbit"]
        done = subprocess.run([sys.executable, "-c", code, *command], check=False)
        assert done.returncode == 0
        assert main(["convert", str(small), "-o", str(again)]) == 0
        plain = tflite_file.read_bytes()
        assert len(small.read_bytes()) < len(plain)
        assert read(again.read_bytes()).root == read(plain).root
        assert f"-> {again}: {again.stat().st_size:,} bytes" in capsys.readouterr().out

    def test_a_tflite_brings_no_images(self, tflite_file, tmp_path, capsys):
        output = tmp_path / "m.tflite"
        assert main(["convert", str(tflite_file), "-o", str(output), "--weights", "int8"]) == 0
        assert "not measured, as a .tflite brings no images" in capsys.readouterr().out

    def test_tflites_that_cannot_be_read(self, tmp_path, fails):
        output = tmp_path / "m.tflite"
        line = fails("convert", tmp_path / "none.tflite", "-o", output)
        assert "No such file or directory" in line
        source = tmp_path / "text.tflite"
        source.write_text("no flatbuffer")
        line = fails("convert", source, "-o", output)
        assert "identifier TFL3" in line
        assert line.endswith(f"({source}).")
        assert not output.exists()

    @pytest.mark.parametrize("suffix", ["keras", "h5"])
    def test_a_lone_model_file(self, run_folder, tmp_path, suffix, capsys):
        source, output = tmp_path / f"model.{suffix}", tmp_path / "m.tflite"
        with (
            pytest.warns(UserWarning, match="HDF5")
            if suffix == "h5"
            else contextlib.nullcontext()
        ):
            saved_models.load_model(run_folder / "model.keras").save(source)
        assert main(["convert", str(source), "-o", str(output), "--verify", "5"]) == 0
        assert "Checked on 5 random inputs" in capsys.readouterr().out
        assert output.stat().st_size > 10_000

    def test_a_failed_verification_writes_nothing(
        self, run_folder, tflite_file, tmp_path, fails, monkeypatch
    ):
        from keras_sparsebnn import converters

        def differs(model, flat, inputs, **options):
            raise converters.VerificationError("Expected equal outputs, got a difference.")

        monkeypatch.setattr(converters, "verify", differs)
        line = fails("convert", run_folder, "-o", tmp_path / "m.tflite")
        assert line.endswith("Expected equal outputs, got a difference.")
        assert list(tmp_path.iterdir()) == []

    def test_a_full_disk_leaves_the_old_file(self, run_folder, tmp_path, fails, monkeypatch):
        output = tmp_path / "m.tflite"
        output.write_text("an old one")

        def full(path, content):
            with path.open("wb") as file:
                file.write(content[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        monkeypatch.setattr(Path, "write_bytes", full)
        line = fails("convert", run_folder, "-o", output, "--verify", "0")
        assert "No space left on device" in line
        assert output.read_text() == "an old one"
        assert list(tmp_path.iterdir()) == [output]

    def test_wrong_paths(self, run_folder, tmp_path, fails):
        (tmp_path / "model.txt").write_text("x")
        assert "found nothing at /nowhere" in fails("convert", "/nowhere", "-o", "m.tflite")
        assert "found none in" in fails("convert", tmp_path, "-o", "m.tflite")
        assert "a .keras or an .h5 file, got" in fails(
            "convert", tmp_path / "model.txt", "-o", "m.tflite"
        )
        assert "got the folder" in fails("convert", run_folder, "-o", tmp_path)
        assert "Run: mkdir -p" in fails(
            "convert", run_folder, "-o", tmp_path / "a" / "m.tflite"
        )
        assert "--verify in [0, 1000000], got -1" in fails(
            "convert", run_folder, "-o", tmp_path / "m.tflite", "--verify", -1
        )

    def test_a_damaged_run_json(self, run_folder, tmp_path, fails):
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "model.keras").symlink_to(run_folder / "model.keras")
        command = ("convert", folder, "-o", tmp_path / "m.tflite")
        assert "found no run.json" in fails(*command)
        (folder / "run.json").write_text("{")
        assert "Expected JSON, got something else" in fails(*command)
        (folder / "run.json").write_text('{"dataset": 3}')
        assert "Expected `dataset`" in fails(*command)

    def test_lce_is_missing(self, run_folder, tmp_path, fails, monkeypatch):
        for name in [n for n in sys.modules if n.startswith("larq_compute_engine")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "larq_compute_engine", None)
        line = fails("convert", run_folder, "-o", tmp_path / "m.tflite", "--verify", "0")
        assert "larq-compute-engine" in line
        assert "pip install 'keras-sparsebnn[convert]'" in line
