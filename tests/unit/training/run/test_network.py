"""Networks that the user brings: trained, resumed, recognised and refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from keras_sparsebnn import data
from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.cli import main
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.models import small
from keras_sparsebnn.quantizers import FixedSubset
from keras_sparsebnn.training import RunConfig, TrainingInterruptedError, train
from keras_sparsebnn.training.run.network import recorded
from tests.unit.training.interruption import StopAt, history

_QUICK = {"epochs": 2, "batch_size": 400, "batch_norm_batches": 2}  # 3 steps an epoch


def network(input_shape, classes, *, filters=8, codewords=8, name=None):
    x = y = keras.layers.Input(input_shape)
    y = keras.layers.Conv2D(filters, 3, padding="same")(y)
    y = keras.layers.BatchNormalization()(y)
    y = lq.layers.QuantConv2D(
        filters,
        3,
        input_quantizer="ste_sign",
        kernel_quantizer=FixedSubset(codewords, seed=3),
        kernel_constraint="weight_clip",
        name=name,
    )(y)
    y = keras.layers.GlobalAveragePooling2D()(y)
    return keras.Model(x, keras.layers.Dense(classes)(y))


def seeded_model():
    keras.utils.set_random_seed(7)
    return network((8, 8, 1), 10)


def compiled_model():
    model = seeded_model()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.RMSprop(1e-3), loss)
    return model


@pytest.mark.parametrize(
    "own",
    [lambda: network, seeded_model, compiled_model],
    ids=["builder", "model", "compiled model"],
)
def test_resumes_exactly(tmp_path, own):
    config = RunConfig(**_QUICK)
    straight = train(config, tmp_path / "straight", model=own())
    with pytest.raises(TrainingInterruptedError, match="in epoch 2, step 1 of 3"):
        train(config, tmp_path / "cut", model=own(), callbacks=[StopAt(4)])
    resumed = train(config, tmp_path / "cut", model=own())
    # Not the selection: it goes by the names of layers, which Keras counts up.
    assert history(resumed, "selection") == history(straight, "selection")
    a, b = (
        keras.models.load_model(tmp_path / name / "model.keras", compile=False)
        for name in ("straight", "cut")
    )
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)
    lines: list[str] = []
    assert train(config, tmp_path / "cut", model=own(), report=lines.append) == resumed
    assert lines == [f"Already finished: {tmp_path / 'cut'}. Nothing to train."]


def test_what_it_was_compiled_with_is_kept(tmp_path):
    model = compiled_model()
    model.compile(model.optimizer, model.loss, jit_compile=True)
    optimizer, loss = model.optimizer, model.loss
    train(RunConfig(**{**_QUICK, "epochs": 1}), tmp_path, model=model)
    assert (model.optimizer, model.loss, model.jit_compile) == (optimizer, loss, True)


def test_averages_of_an_optimizer_are_what_is_kept(tmp_path):
    model = seeded_model()
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    train(RunConfig(**{**_QUICK, "epochs": 1}), tmp_path, model=model)
    averages = optimizer._model_variables_moving_average
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    for weight, average in zip(loaded.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(weight, average)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("own") / "run"
    train(RunConfig(**{**_QUICK, "epochs": 1}), out, model=network)
    return out


class TestRecord:
    def test_run_json_says_that_the_network_is_the_users_own(self, finished):
        settings = json.loads((finished / "run.json").read_text())
        assert settings["version"] == 4
        assert settings["model"] == "own"
        assert list(settings["model_options"]) == ["architecture"]
        assert len(settings["model_options"]["architecture"]) == 64

    @pytest.mark.parametrize(
        "change", [{"filters": 9}, {"codewords": 16}], ids=["filters", "quantizer"]
    )
    def test_another_architecture_cannot_go_on(self, finished, change):
        with pytest.raises(SparseBNNError, match=r"user's own network of the run .* another"):
            train(
                RunConfig(**{**_QUICK, "epochs": 1}),
                finished,
                model=lambda *shape: network(*shape, **change),
            )

    def test_names_do_not_count_but_connections_do(self):
        def digest(model):
            return recorded(RunConfig(), model).model_options["architecture"]

        def joined(second):
            x = keras.layers.Input((4,))
            a = keras.layers.Dense(4)(x)
            b = keras.layers.Dense(4)(x if second == "input" else a)
            return keras.Model(x, keras.layers.Dense(2)(b))

        shape = ((8, 8, 1), 10)
        assert digest(network(*shape)) == digest(network(*shape, name="mine"))
        assert digest(joined("input")) != digest(joined("layer"))
        nested = [keras.Sequential([keras.layers.Input((4,)), joined("layer")]) for _ in "ab"]
        assert digest(nested[0]) == digest(nested[1])

    def test_the_command_says_what_it_cannot_build(self, finished, tmp_path, capsys):
        recipe = ["--recipe", str(finished / "run.json")]
        assert main(["train", *recipe, "--out", str(tmp_path / "new")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "keras_sparsebnn.training.train(config, out, model=...)" in line
        assert not (tmp_path / "new" / "run.json").exists()
        assert main(["train", "--out", str(finished)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "user's own network of the run" in line
        assert main(["train", *recipe, "--out", str(finished)]) == 0  # finished already


class TestRefused:
    def refused(self, tmp_path, model, message, **settings):
        with pytest.raises(SparseBNNError, match=message):
            train(RunConfig(**{**_QUICK, **settings}), tmp_path, model=model)
        assert not (tmp_path / "run.json").exists()

    def test_what_is_no_functional_model(self, tmp_path):
        class Subclassed(keras.Model):
            def call(self, x):
                return x

        self.refused(tmp_path, Subclassed(), "functional Keras model, got Subclassed")
        self.refused(tmp_path, lambda *shape: None, "functional Keras model, got NoneType")

    def test_other_shapes(self, tmp_path):
        message = r"a network from \(8, 8, 1\) to \(10,\), got one from \(8, 8, 1\) to \(3,\)"
        self.refused(tmp_path, network((8, 8, 1), 3), message)

    def test_a_model_in_a_strategy(self, tmp_path):
        message = "Expected a builder with strategy mirrored, got a model"
        self.refused(tmp_path, seeded_model(), message, strategy="mirrored")

    def test_the_float_network_of_the_same_family(self, tmp_path):
        self.refused(tmp_path, network, 'own network, got "auto"', teacher="auto")

    def test_compiled_with_what_needs_the_runs_optimizer(self, tmp_path):
        self.refused(
            tmp_path, compiled_model(), "not compiled with `first_step`", first_step=0.5
        )
        model = compiled_model()
        batch = next(iter(data.load("digits").train(0, 0, 100)))
        model.train_on_batch(*batch)
        self.refused(tmp_path, model, "an optimizer that begins, got one after 1 steps")

    def test_layers_that_cannot_be_saved(self, tmp_path):
        class Nameless(keras.layers.Layer):
            def __init__(self, size):
                super().__init__()

        def own(shape, classes):
            x = keras.layers.Input(shape)
            y = keras.layers.Dense(classes)(keras.layers.Flatten()(Nameless(object())(x)))
            return keras.Model(x, y)

        self.refused(tmp_path, own, "a network that Keras can save")


def test_an_unbuilt_sequential_model(tmp_path):
    def own(shape, classes):
        return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(classes)])

    metrics = train(RunConfig(**{**_QUICK, "epochs": 1}), tmp_path, model=own)
    assert metrics["final"]["test_size"] == 355


def test_a_teacher_from_a_file(tmp_path):
    teacher = keras.Sequential(
        [keras.layers.Flatten(input_shape=(8, 8, 1)), keras.layers.Dense(10)]
    )
    teacher.save(tmp_path / "teacher.keras")
    config = RunConfig(**{**_QUICK, "epochs": 1}, teacher=str(tmp_path / "teacher.keras"))
    lines: list[str] = []
    train(config, tmp_path / "run", model=small, report=lines.append)
    assert lines[0].startswith("teacher: test accuracy")


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        ("small", "widths", []),
        ("small", "widths", ["a"]),
        ("small", "widths", [0, 8]),
        ("small", "widths", 8),
        ("oblivious", "widths", [8.5]),
        ("quicknet", "depths", [1, True, 1, 1]),
        ("resnet18", "depths", []),
        ("adabin18", "depths", [4, -1, 4, 4]),
    ],
)
def test_sizes_that_are_no_sizes(model, name, value, tmp_path):
    config = RunConfig(model=model, model_options={name: value})
    message = rf"Expected `{name}` to be a list of 1 to 100 integers in \[1, \d+\], got "
    with pytest.raises(SparseBNNError, match=message):
        train(config, tmp_path)


@pytest.mark.parametrize("model", ["small", "resnet18", "ftbnn18_grouped"])
def test_an_option_that_the_network_does_not_have(model, tmp_path):
    config = RunConfig(model=model, model_options={"colour": "red"})
    with pytest.raises(
        SparseBNNError, match=rf"that network {model} has, got colour='red'\. docs/networks"
    ):
        train(config, tmp_path)
