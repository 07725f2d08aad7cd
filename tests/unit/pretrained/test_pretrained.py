"""The models that ship: their cards are true, and they can be had and run."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import keras_sparsebnn as ksb
from benchmarks.pretrained.__main__ import main as make
from benchmarks.pretrained.make import RECIPES, add_samples, config_of
from keras_sparsebnn.cli import main
from keras_sparsebnn.converters import convert_file, expand, inspect
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments import Result
from keras_sparsebnn.pretrained import KINDS, load, names
from keras_sparsebnn.pretrained.evaluation import evaluate, held_out
from keras_sparsebnn.pretrained.model import FOLDER
from keras_sparsebnn.tflite_file.associated_files import labels
from keras_sparsebnn.training.settings.config import RunConfig

# Where the data sets of the other models lie; without it only digits are measured.
DATA = os.environ.get("SPARSEBNN_DATA_DIR")
FILES = {
    *("card.json", "run.json", "record.json", "samples.npy"),
    *(f"{kind}.tflite" for kind in KINDS),
}


@pytest.fixture(params=names())
def model(request):
    return load(request.param)


def test_digits_is_there():
    assert "digits" in names()


def test_all_fit_in_two_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.*")) < 2_000_000


@pytest.mark.parametrize(
    ("name", "codewords", "accuracy", "size"),
    [("fashion_mnist", 16, 0.925, 150_000), ("cifar10", 32, 0.84, 400_000)],
)
def test_reaches_its_aims(name, codewords, accuracy, size):
    """CIFAR-10's LCE file, with one bit a weight, is larger: that is what sub-bit is for."""
    model = load(name)
    assert model.card["codewords"] == codewords
    for kind in KINDS:
        assert model.accuracy(kind) >= accuracy
    for kind in ("subbit", "subbit_int8"):
        assert model.path(kind).stat().st_size <= size


class TestEachModel:
    def test_has_its_files(self, model):
        assert {path.name for path in model.folder.iterdir()} == FILES
        for kind in KINDS:
            data, facts = model.path(kind).read_bytes(), model.card["files"][f"{kind}.tflite"]
            assert facts["bytes"] == len(data)
            assert facts["sha256"] == hashlib.sha256(data).hexdigest()
            assert labels(data) == model.labels

    def test_files_are_what_they_are_called(self, model):
        lce, subbit, int8 = (model.path(kind).read_bytes() for kind in KINDS)
        assert convert_file(lce, "subbit") == subbit
        assert convert_file(lce, "subbit", weights="int8") == int8
        assert inspect(expand(subbit)).binary_layers == inspect(lce).binary_layers
        most = max(layer.distinct_codewords for layer in inspect(lce).binary_layers)
        assert most <= model.card["codewords"]
        assert len(int8) < len(subbit) < len(lce)

    def test_has_a_sample_of_each_class(self, model):
        samples = model.samples
        assert samples.dtype == np.uint8
        assert samples.shape == (len(model.labels), *model.input_shape)
        assert samples.max() == model.card["input"]["maximum"]
        for kind in KINDS:
            assert model.classify(samples, kind) == model.labels

    def test_accuracies_of_the_card_are_what_the_delegate_measures(self, model):
        if model.card["data"]["name"] != "digits" and DATA is None:
            pytest.skip("needs the data set: set SPARSEBNN_DATA_DIR")
        for kind in KINDS:
            measured = evaluate(model, kind, data_dir=DATA, runtime="delegate")
            assert measured == model.accuracy(kind)
        assert model.accuracy("lce") == model.accuracy("subbit")

    def test_is_made_by_its_recipe(self, model):
        recipe = json.loads((RECIPES / f"{model.name}.json").read_text())
        made = RunConfig.load(model.folder / "run.json")
        assert config_of(recipe) == made
        assert recipe["labels"] == model.labels
        record = json.loads((model.folder / "record.json").read_text())
        result = Result.from_dict(record, "record.json")
        assert result.test_accuracy == model.card["keras_accuracy"]
        # Rounding may turn a few images over.
        assert model.accuracy("subbit") == pytest.approx(result.test_accuracy, abs=0.003)


def test_samples_are_added_to_a_folder(tmp_path, capsys):
    there = tmp_path / "digits"
    shutil.copytree(load("digits").folder, there)
    (there / "samples.npy").unlink()
    assert make(["digits", "--samples", "--to", str(tmp_path)]) == 0
    assert (there / "samples.npy").read_bytes() == (FOLDER / "digits/samples.npy").read_bytes()
    assert make(["fashion_mnist", "--samples", "--to", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "card.json" in line


def test_a_class_that_is_never_recognised_has_no_sample(monkeypatch):
    dark = np.zeros((3, 8, 8, 1), np.uint8), np.arange(3)
    monkeypatch.setattr("benchmarks.pretrained.make.held_out", lambda name, folder: dark)
    with pytest.raises(SparseBNNError, match=r"Expected a test image of class \d that"):
        add_samples(load("digits"), None)


def test_recipes_are_runs():
    paths = sorted(RECIPES.glob("*.json"))
    assert len(paths) >= 3
    for path in paths:
        recipe = json.loads(path.read_text())
        assert config_of(recipe).method == "learned"
        assert {"description", "labels", "source", "training", "licence", "limits"} < set(
            recipe
        )


def test_digits_are_classified():
    images, classes = held_out("digits")
    model = ksb.pretrained.load("digits")
    found = model.classify(images[..., 0], "subbit_int8")
    assert np.mean(np.array(found).astype(int) == classes) == model.accuracy("subbit_int8")


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 1), np.float32),
    ],
)
def test_images_that_do_not_fit(images):
    with pytest.raises(SparseBNNError, match=r"Expected images of integers, \[N, 8, 8, 1\]"):
        load("digits").prepared(images)


@pytest.mark.parametrize("value", [-1, 17, 255])
def test_images_out_of_range(value):
    images = np.full((1, 8, 8, 1), value)
    with pytest.raises(SparseBNNError, match=f"integers from 0 to 16, got {value} to {value}"):
        load("digits").prepared(images)


def test_unknown_names():
    with pytest.raises(SparseBNNError, match=r"Expected a model out of .*digits.*got '\.\./x'"):
        load("../x")
    with pytest.raises(SparseBNNError, match="Expected `kind` to be one of lce, subbit"):
        load("digits").path("keras")


class TestCommand:
    def test_list(self, capsys):
        assert main(["pretrained", "list"]) == 0
        rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
        assert all([name, "subbit_int8.tflite"] in rows for name in names())
        assert main(["pretrained", "list", "--json"]) == 0
        cards = json.loads(capsys.readouterr().out)["models"]
        assert [card["name"] for card in cards] == names()

    def test_get(self, tmp_path, capsys):
        assert main(["pretrained", "get", "digits", "-o", str(tmp_path / "d")]) == 0
        assert {path.name for path in (tmp_path / "d").iterdir()} == FILES | {
            *("README.md", "labels.txt")
        }
        card = (tmp_path / "d" / "README.md").read_text()
        assert card.startswith("# digits\n")
        assert "Licence of the data: CC BY 4.0" in card
        assert main(["inspect", str(tmp_path / "d" / "subbit.tflite")]) == 0

    def test_evaluate_takes_no_tensorflow(self):
        code = (
            "import sys; sys.modules.update(tensorflow=None, larq=None)\n"
            "from keras_sparsebnn.cli import main\n"
            "sys.exit(main(['pretrained', 'evaluate', 'digits', '--json']))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        measured = json.loads(done.stdout)["accuracy"]
        assert measured == {f"{kind}.tflite": load("digits").accuracy(kind) for kind in KINDS}

    def test_errors_are_one_line(self, capsys):
        assert main(["pretrained", "evaluate", "none"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("sparsebnn pretrained: error: Expected a model out of")
