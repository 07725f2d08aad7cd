"""The command line as a whole: arguments, and how commands end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from keras_sparsebnn import __version__, cli
from keras_sparsebnn.cli import main


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

    def test_unknown_options_name_the_commands_own_help(self, fails):
        line = fails("inspect", "m.tflite", "--format", "x")
        assert line == (
            "sparsebnn inspect: error: unrecognized arguments: --format x. "
            "See sparsebnn inspect --help"
        )

    def test_json_of_the_users_own_is_not_to_be_removed_only(self, fails, tmp_path):
        (tmp_path / "matrix.json").write_text("{")
        line = fails("experiment", tmp_path / "matrix.json", "--out", tmp_path / "out")
        assert "Expected JSON, got something else" in line
        assert line.endswith("Correct or remove it.")

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
