"""The command line: what it prints, writes and returns."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn import __version__, cli, saved_models
from keras_sparsebnn.cli import main

EPOCHS = 2


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sparsebnn train` leaves, trained for two epochs on the real digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits16"
    options = f"--dataset digits --codewords 16 --epochs {EPOCHS} --seed 1 --quiet".split()
    assert main(["train", *options, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def tflite_file(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("larq_compute_engine")
    path = tmp_path_factory.mktemp("converted") / "model.tflite"
    assert main(["convert", str(run_folder), "-o", str(path), "--verify", "40"]) == 0
    return path


@pytest.fixture
def fails(capsys):
    """Runs a command that must fail: its one line on stderr."""

    def run(*argv: object, status: int = 2) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in argv]) == status
        captured = capsys.readouterr()
        assert captured.out == ""
        lines = captured.err.splitlines()
        assert len(lines) == 1, captured.err
        assert lines[0].startswith("sparsebnn")
        return lines[0]

    return run


class TestParser:
    def test_version(self, capsys):
        assert main(["--version"]) == 0
        assert capsys.readouterr().out == f"sparsebnn {__version__}\n"

    def test_help_lists_every_command(self, capsys):
        assert main(["--help"]) == 0
        out = capsys.readouterr().out
        for command, summary in cli.COMMANDS.items():
            assert command in out
            assert summary in out

    @pytest.mark.parametrize("command", cli.COMMANDS)
    def test_help_of_a_command(self, command, capsys):
        assert main([command, "--help"]) == 0
        assert f"usage: sparsebnn {command}" in capsys.readouterr().out

    def test_wrong_arguments(self, fails):
        assert "arguments are required: <subcommand>" in fails()
        assert "invalid choice: 'trian'" in fails("trian")
        assert "arguments are required: -o/--output" in fails("convert", "run/")
        assert "invalid choice: 'tpu'" in fails("benchmark", "m.tflite", "--runtime", "tpu")
        assert "invalid int value: 'many'" in fails("benchmark", "m.tflite", "--runs", "many")

    def test_module_entry_point(self):
        result = subprocess.run(
            [sys.executable, "-m", "keras_sparsebnn", "--version"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout == f"sparsebnn {__version__}\n"


class TestEndings:
    def test_interrupt(self, fails, monkeypatch):
        def interrupted(args):
            raise KeyboardInterrupt

        monkeypatch.setattr("keras_sparsebnn.cli.inspect.run", interrupted)
        assert fails("inspect", "m.tflite", status=130) == "sparsebnn: interrupted"

    def test_reader_of_the_output_went_away(self, tflite_file):
        command = [sys.executable, "-m", "keras_sparsebnn", "inspect", str(tflite_file)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
        process.stderr.close()

    def test_closed_output(self, tflite_file):
        command = f"{sys.executable} -m keras_sparsebnn inspect"
        for redirection in ("2>&-", ">&-", "2>&- >&-"):
            for model, status in ((tflite_file, 0), ("/nowhere", 2)):
                shell = ["sh", "-c", f'{command} "$0" {redirection}', str(model)]
                result = subprocess.run(shell, capture_output=True, text=True, check=False)
                assert result.returncode == status
                assert "Traceback" not in result.stdout + result.stderr

    def test_missing_module_says_what_to_install(self, fails, monkeypatch):
        def missing(args):
            raise ModuleNotFoundError("No module named 'tqdm'")

        monkeypatch.setattr("keras_sparsebnn.cli.inspect.run", missing)
        line = fails("inspect", "m.tflite")
        assert line == (
            "sparsebnn inspect: error: No module named 'tqdm'. "
            "Run: pip install 'keras-sparsebnn[convert]'"
        )

    def test_os_errors_name_the_file(self, fails, tmp_path):
        assert fails("plot", tmp_path, "--kind", "overlap", "-o", tmp_path / "none" / "x.png")
        assert "No such file or directory (/nowhere)" in fails("benchmark", "/nowhere")


class TestConvert:
    def test_predicts_what_keras_predicts(self, run_folder, tflite_file):
        from keras_sparsebnn import data
        from keras_sparsebnn.runtime import Interpreter

        model = saved_models.load_model(run_folder / "model.keras")
        (pictures, _), *_ = data.load("digits").test(40)
        expected = model.predict(pictures, verbose=0).argmax(axis=1)
        got = Interpreter(tflite_file).predict(pictures.numpy()).argmax(axis=1)
        np.testing.assert_array_equal(got, expected)

    def test_says_what_it_did(self, run_folder, tmp_path, capsys):
        pytest.importorskip("larq_compute_engine")
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
        from keras_sparsebnn.converters import expand, inspect, quantize_weights

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

    def test_a_tflite_changes_its_format_and_back(self, tflite_file, tmp_path, capsys):
        from keras_sparsebnn.tflite_file import read

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
        pytest.importorskip("larq_compute_engine")
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
        pytest.importorskip("larq_compute_engine")
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


class TestUntrustedModels:
    @pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04"])
    @pytest.mark.parametrize("suffix", ["keras", "h5"])
    def test_other_files(self, tmp_path, fails, suffix, content):
        path = tmp_path / f"model.{suffix}"
        path.write_bytes(content)
        line = fails("convert", path, "-o", tmp_path / "m.tflite")
        assert "Expected a Keras model, but it cannot be loaded" in line
        assert str(path) in line

    def test_cut_and_changed_files(self, run_folder, tmp_path, fails, rng):
        data = (run_folder / "model.keras").read_bytes()
        path = tmp_path / "model.keras"
        for length in (100, len(data) // 2, len(data) - 10):
            path.write_bytes(data[:length])
            assert "cannot be loaded" in fails("convert", path, "-o", tmp_path / "m.tflite")
        with zipfile.ZipFile(run_folder / "model.keras") as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(parts["config.json"])
        for damage in (
            "{",
            "[]",
            "3",
            '{"class_name": "Functional", "config": {}}',
            "[" * 99999,
        ):
            with zipfile.ZipFile(path, "w") as archive:
                for name, part in {**parts, "config.json": damage}.items():
                    archive.writestr(name, part)
            assert "cannot be loaded" in fails("convert", path, "-o", tmp_path / "m.tflite")
        del config["config"]["layers"][-1]
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in {**parts, "config.json": json.dumps(config)}.items():
                archive.writestr(name, part)
        assert "cannot be loaded" in fails("convert", path, "-o", tmp_path / "m.tflite")

    def test_a_huge_configuration_is_not_read(self, tmp_path, fails):
        path = tmp_path / "model.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("config.json", b" " * (saved_models.MAX_JSON_BYTES + 1))
        assert "config.json is over" in fails("convert", path, "-o", tmp_path / "m.tflite")

    @pytest.mark.parametrize("suffix", ["keras", "h5"])
    def test_code_in_the_file_does_not_run(self, tmp_path, fails, suffix):
        from keras_sparsebnn._keras import keras

        proof, path = tmp_path / "it ran", tmp_path / f"model.{suffix}"
        code = f"lambda x: (__import__('pathlib').Path({str(proof)!r}).touch(), x)[1]"
        x = keras.layers.Input((4,))
        model = keras.Model(x, keras.layers.Lambda(eval(code))(x))
        proof.unlink()
        with (
            pytest.warns(UserWarning, match="HDF5")
            if suffix == "h5"
            else contextlib.nullcontext()
        ):
            model.save(path)
        line = fails("convert", path, "-o", tmp_path / "m.tflite")
        assert "got Lambda (" in line
        assert not proof.exists()

    @pytest.mark.parametrize(
        ("entry", "name"),
        [
            ({"module": "os", "class_name": "function", "config": "system"}, "os.system"),
            (
                {"module": "keras.utils", "class_name": "function", "config": "get_file"},
                "keras.utils.get_file",
            ),
            ({"module": "subprocess", "class_name": "Popen", "config": {}}, "subprocess.Popen"),
            (
                {
                    "module": None,
                    "class_name": "TFOpLambda",
                    "config": {"function": "io.gfile"},
                },
                "io.gfile",
            ),
            ({"class_name": "__lambda__", "config": {"value": "x"}}, "Lambda"),
        ],
    )
    def test_foreign_names_are_refused(self, tmp_path, fails, entry, name):
        path = tmp_path / "model.keras"
        config = {
            "module": "keras",
            "class_name": "Sequential",
            "config": {"name": "s", "layers": [entry]},
        }
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("metadata.json", "{}")
        line = fails("convert", path, "-o", tmp_path / "m.tflite")
        assert f"keras_sparsebnn only, got {name} (" in line

    def test_operators_and_activations_are_fine(self, tmp_path):
        from keras_sparsebnn._keras import keras, tf

        x = keras.layers.Input((4,))
        y = keras.layers.Dense(3, activation="relu")(tf.nn.relu(x) * 2.0 + 1.0)
        model = keras.Model(x, y)
        path = tmp_path / "model.keras"
        model.save(path)
        loaded = saved_models.load_model(path)
        inputs = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
        np.testing.assert_array_equal(
            loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0)
        )


class TestInspect:
    def test_text(self, tflite_file, capsys):
        assert main(["inspect", str(tflite_file)]) == 0
        out = capsys.readouterr().out
        assert "LceBconv2d" in out
        assert f"{tflite_file.stat().st_size:,}" in out

    def test_json(self, tflite_file, capsys):
        assert main(["inspect", str(tflite_file), "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["file_bytes"] == tflite_file.stat().st_size
        assert report["operators"]["LceBconv2d"] == len(report["binary_layers"]) == 5
        assert all(layer["distinct_codewords"] <= 16 for layer in report["binary_layers"])

    def test_not_a_model(self, tmp_path, fails):
        path = tmp_path / "model.tflite"
        path.write_bytes(b"garbage" * 100)
        assert str(path) in fails("inspect", path)


class TestBenchmark:
    def test_table(self, tflite_file, capsys):
        assert main(["benchmark", str(tflite_file), "--runs", "3", "--warmup", "1"]) == 0
        out = capsys.readouterr().out
        header, delegate, lce, _, note, *_ = out.splitlines()
        assert header.split()[:4] == ["model", "runtime", "median", "ms"]
        assert delegate.split()[:2] == [str(tflite_file), "delegate"]
        assert lce.split()[:2] == [str(tflite_file), "lce"]
        assert note.startswith("3 runs after 1 warm-up runs, 1 thread(s), ")

    def test_json(self, tflite_file, capsys):
        command = ["benchmark", str(tflite_file), str(tflite_file), "--runs", "2", "--json"]
        assert main([*command, "--threads", "2"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert [timing["runs"] for timing in report["timings"]] == [2, 2, 2, 2]
        assert report["timings"][0]["num_threads"] == 2
        assert report["machine"]

    def test_wrong_options(self, tflite_file, fails):
        assert "`runs` to be in [1, 1000000], got 0" in fails(
            "benchmark", tflite_file, "--runs", 0
        )
        assert "`num_threads`" in fails("benchmark", tflite_file, "--threads", 0)


class TestPlot:
    @pytest.mark.parametrize("kind", ["usage", "overlap", "bits"])
    def test_draws(self, run_folder, tmp_path, kind, capsys):
        output = tmp_path / "picture.png"
        assert main(["plot", str(run_folder), "-o", str(output), "--kind", kind]) == 0
        assert output.read_bytes().startswith(b"\x89PNG")
        assert capsys.readouterr().out == f"Wrote {output}\n"

    def test_compares_runs_that_share_a_name(self, run_folder, tmp_path, monkeypatch):
        from keras_sparsebnn.analysis import plots

        drawn = {}
        monkeypatch.setattr(plots, "codeword_usage", lambda models, path: drawn.update(models))
        twin = tmp_path / run_folder.name
        twin.symlink_to(run_folder)
        other = tmp_path / "other"
        other.mkdir()
        (other / "model.keras").symlink_to(run_folder / "model.keras")
        sources = [str(run_folder), str(other)]
        assert main(["plot", *sources, "-o", str(tmp_path / "x.png")]) == 0
        assert list(drawn) == ["digits16", "other"]

    def test_nothing_to_draw(self, run_folder, tmp_path, fails):
        output = tmp_path / "x.png"
        overlap = ("--kind", "overlap", "-o", output)
        assert "one run for --kind bits, got 2" in fails(
            "plot", run_folder, run_folder, "--kind", "bits", "-o", output
        )
        assert "found no metrics.json" in fails("plot", tmp_path, *overlap)
        (tmp_path / "metrics.json").write_text('{"history": 3}')
        assert 'Expected a list of epochs under "history"' in fails("plot", tmp_path, *overlap)
        (tmp_path / "metrics.json").write_text('{"history": [{"epoch": 0, "selection": {}}]}')
        assert "got none" in fails("plot", tmp_path, *overlap)
        assert not output.exists()
