"""The examples run, at small settings, and their files do what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.converters import inspect
from keras_sparsebnn.pretrained import load
from keras_sparsebnn.runtime import Interpreter

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
MODEL = ROOT / "tests" / "golden" / "subbit_v1.tflite"
# A board has neither.
WITHOUT_TENSORFLOW = (
    "import runpy, sys; sys.modules.update(tensorflow=None, larq=None, PIL=None); "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def run(*command: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [sys.executable, *map(str, command)], text=True, capture_output=True, cwd=ROOT
    )
    assert result.returncode == code, result.stderr
    return result


def deploy(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    return run("-c", WITHOUT_TENSORFLOW, EXAMPLES / "deploy.py", *arguments, code=code)


@pytest.mark.parametrize("example", ["train", "restrict_larq_model", "deploy"])
def test_help(example):
    assert "usage:" in run(EXAMPLES / f"{example}.py", "--help").stdout


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Arrays for the other two, smaller than digits: two classes, dark and bright."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 128), ("test", 32)):
        labels = np.arange(count) % 2
        noise = rng.uniform(0, 100, (count, 8, 8, 1))
        arrays[f"x_{split}"] = (noise + 150 * labels[:, None, None, None]).astype(np.float32)
        arrays[f"y_{split}"] = labels
    path = tmp_path_factory.mktemp("images") / "images.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def trained(images):
    """What `train.py` writes and prints."""
    model = images.with_name("model.tflite")
    options = ("--data", images, "--epochs", 2, "--codewords", 16, "--out", model)
    return model, run(EXAMPLES / "train.py", *options).stdout


def test_train(trained):
    model, output = trained
    assert "Keras = LCE" in output
    assert "SparsebnnBconv2d" in inspect(model).operators
    assert model.with_suffix(".keras").is_file()


def test_deploy_classifies_arrays(trained, images, tmp_path):
    pixels = np.load(images)["x_test"].astype(np.uint8)
    np.save(tmp_path / "batch.npy", pixels)
    lines = deploy(trained[0], tmp_path / "batch.npy").stdout.splitlines()
    scores = Interpreter(trained[0]).predict((pixels / 127.5 - 1).astype(np.float32))
    assert [int(line.split()[1]) for line in lines] == list(scores.argmax(axis=-1))


def test_deploy_reads_netpbm_and_names_classes(trained, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 1), np.uint8)
    (tmp_path / "x.pgm").write_bytes(b"P5\n# a comment\n8 8\n255\n" + pixels.tobytes())
    np.save(tmp_path / "x.npy", pixels)
    (tmp_path / "labels.txt").write_text("dark\nbright\n")
    files = (tmp_path / "x.pgm", tmp_path / "x.npy")
    first, second = deploy(
        trained[0], *files, "--labels", tmp_path / "labels.txt"
    ).stdout.splitlines()
    assert first.split()[1] in ("dark", "bright")
    assert first.split()[1] == second.split()[1]


def test_deploy_runs_a_trained_model(tmp_path):
    # As docs/tutorials/run_on_a_board.ipynb says.
    model = load("fashion_mnist")
    (tmp_path / "labels.txt").write_text("\n".join(model.labels))
    options = ("--labels", tmp_path / "labels.txt")
    lines = deploy(model.path(), model.folder / "samples.npy", *options).stdout.splitlines()
    assert [line.split(": ")[1].rpartition(" (")[0] for line in lines] == model.labels


def test_restrict_a_larq_model(images, tmp_path):
    model = tmp_path / "small.tflite"
    output = run(
        *(EXAMPLES / "restrict_larq_model.py", "--data", images, "--out", model),
        *("--epochs", 1, "--fine-tune", 1),
    ).stdout
    assert "16 codewords, sub-bit:" in output
    assert all(layer.distinct_codewords <= 16 for layer in inspect(model).binary_layers)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.ppm", b"P6\n8 8\n255\n", "fewer bytes"),
        ("x.pgm", b"not an image", "Expected a binary PGM or PPM"),
        ("x.pgm", b"P5\n" + b"# " * 5000, "Expected a binary PGM or PPM"),
        ("x.png", b"", "pip install pillow"),
        ("x.npy", b"", "Expected a NumPy array"),
    ],
)
def test_deploy_refuses_in_one_line(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    errors = deploy(MODEL, tmp_path / name, code=2).stderr.splitlines()
    assert errors[-1].startswith("deploy: ")
    assert message in errors[-1]
