"""Runs: folder, history, and the command."""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import signal
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn._keras import keras
from keras_sparsebnn.cli import train as command
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers.methods import OPTIONS
from keras_sparsebnn.training import (
    RECIPES,
    RunConfig,
    TrainingInterruptedError,
    train,
)
from keras_sparsebnn.training.run import job, loop
from tests.unit.training.interruption import StopAt

_QUICK = {"epochs": 2, "batch_size": 200, "method": "random", "codewords": 16}


def without_times(metrics: dict) -> dict:
    history = [{k: v for k, v in r.items() if k != "seconds"} for r in metrics["history"]]
    final = {k: v for k, v in metrics["final"].items() if k != "seconds"}
    return {"history": history, "final": final}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("finished") / "run"
    return out, train(RunConfig(**_QUICK), out)


class TestRun:
    def test_what_is_written(self, finished):
        out, metrics = finished
        assert json.loads((out / "metrics.json").read_text()) == metrics
        assert metrics["version"] == 1
        assert metrics["config"] == json.loads((out / "run.json").read_text())
        assert RunConfig.from_dict(metrics["config"]) == RunConfig(**_QUICK)
        assert [record["epoch"] for record in metrics["history"]] == [0, 1]
        assert {len(ids) for ids in metrics["history"][0]["selection"].values()} == {16}
        assert "tensorflow" in metrics["environment"]["versions"]
        names = {path.name for path in out.iterdir()}
        expected = {"run.json", "metrics.json", "model.keras", "checkpoints", "logs", ".lock"}
        assert names == expected

    def test_the_model_is_what_was_tested(self, finished, digits):
        out, metrics = finished
        model = keras.models.load_model(out / "model.keras")
        correct = sum(
            int(np.sum(np.argmax(model(images, training=False), 1) == labels))
            for images, labels in digits.test(200)
        )
        assert metrics["final"]["test_accuracy"] == pytest.approx(correct / 355, abs=1e-6)
        assert metrics["final"]["test_accuracy"] > 0.5
        assert getattr(model, "optimizer", None) is None

    def test_again_trains_nothing(self, finished, monkeypatch):
        out, metrics = finished
        monkeypatch.setattr(loop.Loop, "run", None)
        lines: list[str] = []
        assert train(RunConfig(**_QUICK), out, report=lines.append) == metrics
        assert lines == [f"Already finished: {out}. Nothing to train."]

    def test_the_end_is_made_again_if_lost(self, tmp_path):
        first = train(RunConfig(**_QUICK), tmp_path)
        model = (tmp_path / "model.keras").read_bytes()
        (tmp_path / "model.keras").unlink()
        (tmp_path / "metrics.json").unlink()
        again = train(RunConfig(**_QUICK), tmp_path)
        assert without_times(again) == without_times(first)
        assert again["history"] == first["history"]
        assert (tmp_path / "model.keras").stat().st_size == pytest.approx(len(model), rel=0.01)

    def test_stopping_in_an_epoch_changes_nothing(self, finished, tmp_path):
        for stop in (3, 7, 10):  # 7 steps an epoch: in it, at its end, in the next one
            with pytest.raises(TrainingInterruptedError, match="Stopped by SIGTERM in epoch"):
                train(RunConfig(**_QUICK), tmp_path, callbacks=[StopAt(stop)])
        lines: list[str] = []
        metrics = train(RunConfig(**_QUICK), tmp_path, report=lines.append)
        assert lines[0] == "Resuming at epoch 2, step 4 of 7."
        assert without_times(metrics) == without_times(finished[1])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"seed": 1}, "got another `seed`: 1 instead of 0"),
            ({"epochs": 3}, "got another `epochs`: 3 instead of 2"),
            ({"options": {"magnitude_scale": True}}, "got another `options`"),
        ],
    )
    def test_another_run(self, finished, change, message):
        with pytest.raises(SparseBNNError, match=message):
            train(RunConfig(**{**_QUICK, **change}), finished[0])

    def test_where_data_lie_may_change(self, finished):
        moved = RunConfig(**_QUICK, data_dir="/elsewhere", checkpoint_every=3)
        assert train(moved, finished[0]) == finished[1]

    def test_not_a_runs_folder(self, tmp_path):
        (tmp_path / "model.keras").write_bytes(b"mine")
        with pytest.raises(SparseBNNError, match=r"found model\.keras without it"):
            train(RunConfig(), tmp_path)
        assert (tmp_path / "model.keras").read_bytes() == b"mine"

    def test_forged_metrics(self, tmp_path):
        RunConfig().save(tmp_path / "run.json")
        (tmp_path / "model.keras").touch()
        (tmp_path / "metrics.json").write_text('{"final": {"test_accuracy": "high"}}')
        with pytest.raises(SparseBNNError, match="results of a finished run under `final`"):
            train(RunConfig(), tmp_path)

    def test_one_process_at_a_time(self, tmp_path):
        with (tmp_path / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(SparseBNNError, match="no other process to work in"):
                train(RunConfig(), tmp_path)

    def test_an_epoch_that_diverges_in_its_last_update(self, tmp_path):
        """Training's mean loss is finite, the test split's is not."""
        message = "Expected a finite val_loss, got nan .*smaller --learning-rate"
        for _ in range(2):  # going on says the same
            with pytest.raises(SparseBNNError, match=message):
                train(RunConfig(**_QUICK), tmp_path, callbacks=[_LatePoison()])
        assert not list(tmp_path.glob("checkpoints/*"))

    def test_divergence_is_said(self, tmp_path):
        with pytest.raises(
            SparseBNNError, match=r"a finite loss, got .*smaller --learning-rate"
        ):
            train(RunConfig(**_QUICK, learning_rate=1000.0, schedule="constant"), tmp_path,
                  callbacks=[_Poison()])  # fmt: skip
        assert not (tmp_path / "checkpoints").exists()

    def test_no_room(self, tmp_path, monkeypatch):
        def fail(*args, **kwargs):
            raise OSError(28, "No space left on device", "metrics.json")

        monkeypatch.setattr(job, "write_json", fail)
        with pytest.raises(SparseBNNError, match=r"No space left on device \(metrics.json\)"):
            train(RunConfig(**{**_QUICK, "epochs": 1}), tmp_path)

    def test_checkpoints_are_mentioned_only_where_there_are_some(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(SparseBNNError, match=r"got: .* Put that right") as caught:
            train(RunConfig(**_QUICK), tmp_path / "file" / "run")
        assert "heckpoints are intact" not in str(caught.value)
        out = tmp_path / "run"
        with pytest.raises(TrainingInterruptedError):
            train(RunConfig(**_QUICK), out, callbacks=[_Stop()])
        (out / "metrics.json").mkdir()
        with pytest.raises(SparseBNNError, match="The checkpoints are intact: put that right"):
            train(RunConfig(**_QUICK), out)

    def test_a_run_that_fails_before_it_saved_anything_leaves_its_folder_free(self, tmp_path):
        for change in ({"teacher": "missing.keras"}, {"model": "large"}):
            with pytest.raises(SparseBNNError, match=r"nothing at missing|a model out of"):
                train(RunConfig(**{**_QUICK, **change}), tmp_path)
            assert not (tmp_path / "run.json").exists()

        class Fail(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            train(RunConfig(**_QUICK), tmp_path, callbacks=[Fail()])
        assert not (tmp_path / "run.json").exists()
        with pytest.raises(TrainingInterruptedError):
            train(RunConfig(**_QUICK), tmp_path, callbacks=[_Stop()])
        assert (tmp_path / "run.json").exists()

    def test_an_empty_name_is_no_folder(self):
        with pytest.raises(SparseBNNError, match="a folder for the run, got an empty name"):
            train(RunConfig(**_QUICK), "")

    def test_bfloat16_and_the_policy_is_restored(self, tmp_path):
        before = keras.mixed_precision.global_policy().name
        config = RunConfig(**{**_QUICK, "epochs": 1}, mixed_precision="bfloat16")
        metrics = train(config, tmp_path)
        assert keras.mixed_precision.global_policy().name == before == "float32"
        model = keras.models.load_model(tmp_path / "model.keras")
        assert model.get_layer("binary0").compute_dtype == "bfloat16"
        assert math.isfinite(metrics["final"]["test_loss"])


class _Stop(keras.callbacks.Callback):
    """Asks a run to stop after its first step, as Ctrl-C does."""

    def on_train_batch_end(self, batch, logs=None):
        signal.raise_signal(signal.SIGTERM)


class _Poison(keras.callbacks.Callback):
    """Makes the loss infinite, as a diverging run does."""

    def on_train_batch_begin(self, batch, logs=None):
        self.model.get_layer("classifier").bias.assign([math.nan] * 10)


class _LatePoison(_Poison):
    def on_train_batch_begin(self, batch, logs=None):
        pass

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.params["steps"]:
            super().on_train_batch_begin(batch)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sparsebnn train")
    command.add_arguments(parser)
    return parser.parse_args(["--out", "run", *arguments])


class TestCommand:
    def test_flags_that_are_not_given_are_the_recipes_affair(self):
        arguments = vars(parse())
        assert set(arguments) == {"out", "recipe", "settings", "download", "json", "quiet"}

    def test_recipe_flag_and_set_in_rising_order(self, tmp_path):
        def configuration(*arguments):
            return command.configuration(parse(*arguments))

        assert configuration() == RunConfig()
        recipe = configuration("--recipe", "cifar10-sgd")
        assert (recipe.optimizer, recipe.epochs, recipe.model) == ("sgd", 400, "resnet20")
        changed = configuration(
            *("--recipe", "cifar10-sgd", "--epochs", "3", "--set", "momentum=0.8"),
            *("--set", "travel=2", "--set", 'codewords={"*": 16}'),
        )
        assert (changed.optimizer, changed.epochs, changed.momentum) == ("sgd", 3, 0.8)
        assert (changed.options, changed.codewords) == ({"travel": 2}, {"*": 16})
        changed.save(tmp_path / "run.json")
        again = configuration("--recipe", str(tmp_path / "run.json"), "--seed", "4")
        assert again.first_difference(changed) == "seed"
        assert configuration("--method", "one_bit").codewords == 512

    def test_every_setting_can_be_set(self):
        for key, value in RunConfig().to_dict().items():
            if key in ("version", "recipe"):
                continue
            config = command.configuration(parse("--set", f"{key}={json.dumps(value)}"))
            assert config == RunConfig(), key

    def test_list_of_recipes(self, capsys):
        with pytest.raises(SystemExit, match=r"^0$"):
            parse("--list-recipes")
        printed = capsys.readouterr().out
        for name, recipe in RECIPES.items():
            assert f"{name}: {recipe.summary}\n" in printed
        assert "    teacher=auto\n" in printed

    def test_help_teaches_all_options_of_the_selection(self):
        parser = argparse.ArgumentParser(prog="sparsebnn train")
        command.add_arguments(parser)
        text = parser.format_help()
        assert "examples:" in text
        assert all(name in text for options in OPTIONS.values() for name in options)

    def test_a_whole_run(self, tmp_path, capsys):
        out = str(tmp_path / "run")
        arguments = (
            "--method",
            "one_bit",
            "--epochs",
            "1",
            "--batch-size",
            "200",
            "--out",
            out,
        )
        assert command.run(parse(*arguments)) == 0
        printed = capsys.readouterr()
        assert "epoch 1/1: loss" in printed.err
        assert "one_bit, 512 a layer, 1.00 bit" in printed.out
        assert f"sparsebnn convert {out}/ -o model.tflite" in printed.out
        assert command.run(parse(*arguments, "--json")) == 0
        printed = capsys.readouterr()
        assert json.loads(printed.out)["config"]["codewords"] == 512
        assert "Already finished" in printed.err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--set", "temperature"], "Expected --set KEY=VALUE, got 'temperature'"),
            (["--set", "=1"], "Expected --set KEY=VALUE"),
            (["--set", "noise_scale=1", "--set", "noise_scale=2"], "--set noise_scale once"),
            (["--set", "formulation=whole"], "`formulation` to be one of partial, full"),
            (["--codewords", "33"], "a power of two"),
            (["--epochs", "0"], "`epochs` to be an integer"),
            (["--epochs", "3", "--set", "epochs=4"], "--epochs or --set epochs, got both"),
            (["--recipe", "reactnet"], "or a .json file, got 'reactnet'"),
            (["--recipe", "absent.json"], r"no such file \(absent\.json\)"),
            (["--set", "temprature=1"], "got 'temprature'. Did you mean temperature"),
            (["--set", "wieght_decay=1"], "got 'wieght_decay'. Did you mean weight_decay"),
            (["--set", "pattern_scale=1"], "which is one of snn"),
        ],
    )
    def test_wrong_options_leave_no_folder(self, tmp_path, arguments, message):
        with pytest.raises(SparseBNNError, match=message):
            command.run(parse(*arguments, "--out", str(tmp_path / "run")))
        assert not (tmp_path / "run").exists()

    def test_values_are_json_or_text(self):
        parsed = command._parse_settings(["a=0.5", "b=true", "c=null", "d=full", "e=3"])
        assert parsed == {"a": 0.5, "b": True, "c": None, "d": "full", "e": 3}

    def test_a_dataset_that_cannot_be_had(self, tmp_path):
        arguments = parse(
            "--dataset", "mnist", "--data-dir", str(tmp_path), "--out", str(tmp_path)
        )
        with pytest.raises(SparseBNNError, match=r"mnist prepared in .*--download"):
            command.run(arguments)
        assert not (tmp_path / "run.json").exists()  # the folder is free for another try
