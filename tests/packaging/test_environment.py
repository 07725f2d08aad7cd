"""A wrong environment gets one line that says what to do, from the library and from the CLI.

The installed versions are made up by replacing `importlib.metadata.version`, so that every
case runs on every supported TensorFlow.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

MARK = "-- from here on --"

PRETEND = f"""
import importlib.metadata, os, sys
installed = importlib.metadata.version
def version(name):
    if name in PRETENDED:
        if PRETENDED[name] is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return PRETENDED[name]
    return installed(name)
importlib.metadata.version = version
print({MARK!r}, file=sys.stderr, flush=True)
"""

CASES = {
    "variable unset": (
        {"tensorflow": "2.21.0", "tf-keras": "2.21.0"},
        "0",
        "Expected TF_USE_LEGACY_KERAS=1",
        "export TF_USE_LEGACY_KERAS=1",
    ),
    "tf-keras missing": (
        {"tensorflow": "2.21.0", "tf-keras": None},
        "1",
        "TensorFlow 2.21 brings Keras 3",
        "pip install 'tf-keras==2.21.*'",
    ),
    "variable set, where Keras 2 is built in": (
        {"tensorflow": "2.15.1", "tf-keras": None},
        "1",
        "Expected TF_USE_LEGACY_KERAS to be unset",
        "unset TF_USE_LEGACY_KERAS",
    ),
    "TensorFlow missing": (
        {"tensorflow": None, "tensorflow-cpu": None, "tf-nightly": None},
        None,
        "Expected TensorFlow to be installed",
        "pip install 'keras-sparsebnn[train]'",
    ),
    "larq missing": (
        {"tensorflow": "2.21.0", "tf-keras": "2.21.0", "larq": None},
        "1",
        "Expected larq to be installed",
        "pip install 'keras-sparsebnn[train]'",
    ),
}


def run(code: str, variable: str | None, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    if variable is not None:
        environment["TF_USE_LEGACY_KERAS"] = variable
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def lines_after_mark(stderr: str) -> list[str]:
    return stderr.partition(MARK)[2].splitlines()[1:]


def command_line(folder: Path) -> str:
    """Code that converts a file; Keras is asked for before the file is opened."""
    (folder / "model.keras").touch()
    return (
        "from keras_sparsebnn.cli import main\n"
        "sys.argv[1:] = ['convert', 'model.keras', '-o', 'model.tflite']\n"
        "sys.exit(main())\n"
    )


@pytest.mark.parametrize("case", CASES)
def test_command_line(case, tmp_path):
    versions, variable, *expected = CASES[case]
    result = run(
        f"PRETENDED = {versions!r}\n{PRETEND}\n{command_line(tmp_path)}", variable, tmp_path
    )
    (line,) = lines_after_mark(result.stderr)
    assert line.startswith("sparsebnn convert: error: Expected ")
    assert all(text in line for text in expected)
    assert (result.returncode, result.stdout) == (2, "")


@pytest.mark.parametrize("case", CASES)
def test_library(case, tmp_path):
    versions, variable, *expected = CASES[case]
    code = "try: import keras_sparsebnn.layers\nexcept ImportError as error: print(error)"
    result = run(f"PRETENDED = {versions!r}\n{PRETEND}\n{code}", variable, tmp_path)
    (line,) = result.stdout.splitlines()
    assert all(text in line for text in expected)
    assert result.returncode == 0


@pytest.mark.skipif(
    int(metadata.version("tensorflow").split(".")[1]) < 16,
    reason="TensorFlow before 2.16 has no Keras 3 to be active",
)
def test_keras_3_is_active_because_tensorflow_came_first(tmp_path):
    code = (
        "import os, sys\n"
        "import tensorflow as tf\n"
        "tf.keras.layers.Layer\n"
        "os.environ['TF_USE_LEGACY_KERAS'] = '1'\n"
        f"print({MARK!r}, file=sys.stderr, flush=True)\n"
    )
    result = run(code + command_line(tmp_path), None, tmp_path)
    (line,) = lines_after_mark(result.stderr)
    assert "Keras 3 is active in this process" in line
    assert line.endswith("export TF_USE_LEGACY_KERAS=1")
    assert result.returncode == 2


def test_the_right_environment_passes(tmp_path):
    # The command line sets the variable itself, so nothing needs exporting.
    result = run(f"PRETENDED = {{}}\n{PRETEND}\n{command_line(tmp_path)}", None, tmp_path)
    (line,) = lines_after_mark(result.stderr)
    assert "Expected a Keras model, but it cannot be loaded" in line
    assert result.returncode == 2
