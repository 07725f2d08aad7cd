"""Runs: configuration, folder, history, and the command."""

from __future__ import annotations

import argparse
import fcntl
import json
import math
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn import data
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.commands import train as command
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import sparse_quantizer
from keras_sparsebnn.training import RunConfig, TrainingInterruptedError, run, train
from keras_sparsebnn.training.recipe import compiled_model, selection_schedules
from keras_sparsebnn.usage import binary_layers

_QUICK = {"epochs": 2, "batch_size": 200, "method": "random", "codewords": 16}


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits")


def without_times(metrics: dict) -> dict:
    history = [{k: v for k, v in r.items() if k != "seconds"} for r in metrics["history"]]
    final = {k: v for k, v in metrics["final"].items() if k != "seconds"}
    return {"history": history, "final": final}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("finished") / "run"
    return out, train(RunConfig(**_QUICK), out)


class TestConfig:
    def test_round_trip(self, tmp_path):
        config = RunConfig(codewords=16, options={"temperature": 2, "formulation": "full"})
        config.save(tmp_path / "run.json")
        assert RunConfig.load(tmp_path / "run.json") == config
        assert json.loads((tmp_path / "run.json").read_text())["version"] == 1

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"version": 2}, "`version` to be 1, got 2"),
            ({"surprise": 1}, "keys of a run, got 'surprise'"),
            ({"dataset": ""}, "`dataset` to be a text of 1 to 200 characters, got ''"),
            ({"dataset": "x" * 10**6}, "`dataset` to be a text"),
            ({"data_dir": 3}, "`data_dir` to be a text .* or null, got 3"),
            ({"data_dir": "a\0b"}, "`data_dir` to be a text"),
            (
                {"method": "magic"},
                "`method` to be one of .*learned, .*one_bit, .*got 'magic'",
            ),
            ({"method": []}, "`method` to be one of"),
            ({"codewords": 48}, r"`codewords` to be a power of two in \[2, 512\], got 48"),
            ({"codewords": 32.0}, "`codewords` to be a power of two"),
            ({"codewords": True}, "`codewords` to be a power of two"),
            ({"epochs": 0}, r"`epochs` to be an integer in \[1, 100000\], got 0"),
            ({"epochs": "10"}, "`epochs` to be an integer"),
            ({"learning_rate": 0}, r"`learning_rate` to be a number in \(0, 1000\], got 0"),
            ({"learning_rate": math.nan}, "`learning_rate` to be a number"),
            ({"learning_rate": math.inf}, "`learning_rate` to be a number"),
            ({"label_smoothing": 1}, r"`label_smoothing` to be a number in \[0, 1\), got 1"),
            ({"warmup_epochs": 11}, "`warmup_epochs` to be at most 10, .* got 11"),
            ({"seed": -1}, "`seed` to be an integer"),
            ({"seed": 2**31}, "`seed` to be an integer"),
            ({"deterministic": 1}, "`deterministic` to be true or false, got 1"),
            ({"options": None}, "`options` to be an object, got None"),
            ({"options": {"tau": 1}}, "an option of method learned .*temperature.*, got 'tau'"),
            ({"options": {"temperature": 0}}, r"`temperature` to be a number in \(0, 1e"),
            ({"options": {"temperature": "1"}}, "`temperature` to be a number"),
            ({"options": {"refresh_interval": 1.5}}, "`refresh_interval` to be an integer"),
            (
                {"options": {"noise_scale_end": 0}},
                "`noise_scale` together with `noise_scale_end`",
            ),
            (
                {"method": "random", "options": {"temperature": 1}},
                "of method random .*got 'temp",
            ),
            ({"method": "one_bit"}, "`codewords` to be 512 with method one_bit, got 32"),
        ],
    )
    def test_nonsense(self, tmp_path, change, message):
        path = tmp_path / "run.json"
        path.write_text(json.dumps({**RunConfig().to_dict(), **change}))
        with pytest.raises(SparseBNNError, match=message) as caught:
            RunConfig.load(path)
        assert "run.json" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500

    @pytest.mark.parametrize("content", ["", "{", "[]", "3", "\xff", '{"a":' * 10**5])
    def test_no_json_object(self, tmp_path, content):
        (tmp_path / "run.json").write_bytes(content.encode("latin-1"))
        with pytest.raises(SparseBNNError, match=r"Expected .*JSON"):
            RunConfig.load(tmp_path / "run.json")


class TestRecipe:
    def test_methods(self, digits):
        from keras_sparsebnn.quantizers import METHODS

        for method in ("learned", "random", "one_bit"):
            n = 512 if method == "one_bit" else 8
            model = compiled_model(RunConfig(method=method, codewords=n), digits, 5)
            found = [sparse_quantizer(layer) for layer in binary_layers(model)]
            assert [(type(q), q.codewords) for q in found] == [(METHODS[method], n)] * 5
            assert len({q.seed for q in found}) == 5

    def test_options_reach_the_quantizers(self, digits):
        options = {
            "formulation": "full",
            "temperature": 3.0,
            "temperature_end": 0.5,
            "noise_scale": 0.25,
            "refresh_interval": 3,
            "freeze_after": 0.5,
            "clip_value": None,
            "magnitude_scale": True,
        }
        config = RunConfig(codewords=4, options=options)
        for layer in binary_layers(compiled_model(config, digits, 5)):
            ours = layer.kernel_quantizer.get_config()
            kept = set(options) - {"temperature_end", "freeze_after"}
            assert {k: ours[k] for k in kept} == {k: options[k] for k in kept}
        (schedule,) = selection_schedules(config, 100)
        assert schedule.value("temperature", 0) == 3.0
        assert schedule.value("temperature", 25) == pytest.approx(1.75)
        assert schedule.value("temperature", 60) == pytest.approx(0.5)
        assert [schedule.value("refresh_interval", t) for t in (49, 50)] == [3, 0]
        assert selection_schedules(RunConfig(), 100) == []

    def test_learning_rate(self, digits):
        def rates(**settings):
            config = RunConfig(epochs=4, learning_rate=0.1, **settings)
            rate = compiled_model(config, digits, 10).optimizer._learning_rate
            return [float(rate(t)) for t in (0, 5, 10, 25, 40)]

        half = 0.05
        np.testing.assert_allclose(rates(schedule="constant"), [0.1] * 5, rtol=1e-6)
        np.testing.assert_allclose(
            rates(schedule="constant", warmup_epochs=1), [0, half, 0.1, 0.1, 0.1], rtol=1e-6
        )
        np.testing.assert_allclose(
            rates(warmup_epochs=1), [0, half, 0.1, half, 0], rtol=1e-6, atol=1e-9
        )

    def test_label_smoothing(self, digits):
        model = compiled_model(RunConfig(label_smoothing=0.2), digits, 5)
        logits = tf.constant(np.random.default_rng(0).normal(size=(4, 10)), tf.float32)
        labels = tf.constant([1, 2, 3, 4], tf.int64)
        targets = 0.8 * np.eye(10)[[1, 2, 3, 4]] + 0.02
        log_p = logits.numpy() - np.log(np.exp(logits.numpy()).sum(1, keepdims=True))
        expected = -(targets * log_p).sum(1).mean()
        loss = float(model.compute_loss(y=labels, y_pred=logits))
        assert loss == pytest.approx(expected, rel=1e-5)

    def test_unknown_model(self, digits):
        with pytest.raises(
            SparseBNNError, match=r"Expected a model out of .*small.*, got large"
        ):
            compiled_model(RunConfig(model="large"), digits, 5)


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
            int(np.sum(np.argmax(model(pictures, training=False), 1) == labels))
            for pictures, labels in digits.test(200)
        )
        assert metrics["final"]["test_accuracy"] == pytest.approx(correct / 355, abs=1e-6)
        assert metrics["final"]["test_accuracy"] > 0.5
        assert getattr(model, "optimizer", None) is None

    def test_again_trains_nothing(self, finished, monkeypatch):
        out, metrics = finished
        monkeypatch.setattr(run._Run, "fit", None)
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
        class StopAt(keras.callbacks.Callback):
            def __init__(self, *steps: int) -> None:
                super().__init__()
                self.steps = steps

            def on_train_batch_end(self, batch, logs=None):
                if int(self.model.optimizer.iterations) in self.steps:
                    import signal

                    signal.raise_signal(signal.SIGTERM)

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
            with pytest.raises(SparseBNNError, match="no other process to train in"):
                train(RunConfig(), tmp_path)

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

        monkeypatch.setattr(run, "write_json", fail)
        with pytest.raises(SparseBNNError, match=r"No space left on device \(metrics.json\)"):
            train(RunConfig(**{**_QUICK, "epochs": 1}), tmp_path)

    def test_bfloat16_and_the_policy_is_restored(self, tmp_path):
        before = keras.mixed_precision.global_policy().name
        config = RunConfig(**{**_QUICK, "epochs": 1}, mixed_precision="bfloat16")
        metrics = train(config, tmp_path)
        assert keras.mixed_precision.global_policy().name == before == "float32"
        model = keras.models.load_model(tmp_path / "model.keras")
        assert model.get_layer("binary0").compute_dtype == "bfloat16"
        assert math.isfinite(metrics["final"]["test_loss"])


class _Poison(keras.callbacks.Callback):
    """Makes the loss infinite, as a diverging run does."""

    def on_train_batch_begin(self, batch, logs=None):
        self.model.get_layer("classifier").bias.assign([math.nan] * 10)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sparsebnn train")
    command.add_arguments(parser)
    return parser.parse_args(["--out", "run", *arguments])


class TestCommand:
    def test_defaults_are_the_configurations(self):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        arguments = vars(parser.parse_args(["--out", "run"]))
        config = RunConfig().to_dict()
        shared = set(arguments) & set(config) - {"codewords", "options"}
        assert {key: arguments[key] for key in shared} == {key: config[key] for key in shared}
        missing = set(config) - set(arguments) - {"version", "deterministic"}
        assert missing == set()

    def test_help_teaches_all_options_of_the_selection(self):
        from keras_sparsebnn.training.config import OPTIONS

        parser = argparse.ArgumentParser(prog="sparsebnn train")
        command.add_arguments(parser)
        text = parser.format_help()
        assert "examples:" in text
        assert all(name in text for name in OPTIONS["learned"])

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
        ],
    )
    def test_wrong_options_leave_no_folder(self, tmp_path, arguments, message):
        with pytest.raises(SparseBNNError, match=message):
            command.run(parse(*arguments, "--out", str(tmp_path / "run")))
        assert not (tmp_path / "run").exists()

    def test_values_are_json_or_text(self):
        parsed = command._parse_options(["a=0.5", "b=true", "c=null", "d=full", "e=3"])
        assert parsed == {"a": 0.5, "b": True, "c": None, "d": "full", "e": 3}

    def test_a_dataset_that_cannot_be_had(self, tmp_path):
        arguments = parse(
            "--dataset", "mnist", "--data-dir", str(tmp_path), "--out", str(tmp_path)
        )
        with pytest.raises(SparseBNNError, match=r"mnist prepared in .*--download"):
            command.run(arguments)
        assert not (tmp_path / "run.json").exists()  # the folder is free for another try
