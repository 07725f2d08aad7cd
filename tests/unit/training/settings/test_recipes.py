"""What a run is made of: its configuration, and the recipes that fill it in."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from keras_sparsebnn._keras import tf
from keras_sparsebnn.analysis.usage import binary_layers
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import sparse_quantizer
from keras_sparsebnn.models import MODELS
from keras_sparsebnn.quantizers.methods import OPTIONS
from keras_sparsebnn.training import (
    RECIPES,
    RunConfig,
    configured,
)
from keras_sparsebnn.training.run.assembly import compiled_model
from keras_sparsebnn.training.run.schedules import selection_schedules, stage_starts

_QUICK = {"epochs": 2, "batch_size": 200, "method": "random", "codewords": 16}


class TestConfig:
    def test_round_trip(self, tmp_path):
        config = RunConfig(
            codewords=16, options={"logits": "free", "temperature": 2, "formulation": "full"}
        )
        config.save(tmp_path / "run.json")
        assert RunConfig.load(tmp_path / "run.json") == config
        assert json.loads((tmp_path / "run.json").read_text())["version"] == 4

    def test_a_run_without_younger_settings_is_as_earlier_versions_wrote_it(self, tmp_path):
        assert "holdout" not in RunConfig().to_dict()
        config = RunConfig(holdout=0.1)
        config.save(tmp_path / "run.json")
        assert RunConfig.load(tmp_path / "run.json") == config
        assert config.first_difference(RunConfig()) == "holdout"

    def test_version_1_still_loads(self):
        new = {
            *(
                "recipe",
                "model_options",
                "float_network",
                "first_step",
                "optimizer",
                "momentum",
            ),
            *("weight_decay", "first_step_weight_decay", "logit_optimizer"),
            *("logit_rate_factor", "teacher", "teacher_weight", "teacher_temperature"),
            *("teacher_epochs", "devices"),
        }
        old = {k: v for k, v in RunConfig(codewords=16).to_dict().items() if k not in new}
        random = {"initial_selection": "random"}
        free = RunConfig(codewords=16, options={"logits": "free", **random})
        for version in (1, 2):
            assert RunConfig.from_dict({**old, "version": version}) == free
        third = {**RunConfig(codewords=16).to_dict(), "version": 3}
        assert RunConfig.from_dict(third) == RunConfig(codewords=16, options=random)
        chosen = {"initial_selection": "facility_location", "choose_after": 0.2}
        config = RunConfig.from_dict({**third, "options": chosen})
        assert config == RunConfig(codewords=16, options=chosen)
        fixed = {**old, "version": 2, "method": "random"}
        assert RunConfig.from_dict(fixed) == RunConfig(codewords=16, method="random")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"version": 5}, "`version` to be 4, got 5"),
            ({"codewords": {}}, "or an object of them"),
            ({"codewords": {"*": 48}}, "or an object of them"),
            (
                {"first_step": 0.01},
                "`first_step` to leave a whole epoch to each step, got 0.01",
            ),
            ({"first_step": 0.5, "float_network": True}, "`first_step` to be 0 with `float_"),
            ({"teacher_weight": 0}, r"`teacher_weight` to be a number in \(0, 1\], got 0"),
            (
                {"strategy": "tpu", "options": {"logits": "free", "matcher": "scipy"}},
                '`matcher` to be "graph" on a TPU',
            ),
            ({"holdout": 1}, r"`holdout` to be a number in \(0, 1\) or null, got 1"),
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
            ({"codewords": 48}, r"a power of two in \[2, 512\], or .* pattern, got 48"),
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
            "logits": "free",
            "initial_selection": "random",
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
        fixed = {"logits": "free", "initial_selection": "random"}
        assert selection_schedules(RunConfig(options=fixed), 100) == []

    @pytest.mark.parametrize(
        ("options", "step"),
        [
            ({}, 65),
            ({"initial_selection": "random"}, 50),
            ({"freeze_after": 0.4}, 40),
            ({"choose_after": 0.2}, 60),
        ],
    )
    def test_structured_logits_freeze_halfway(self, options, step):
        schedule, *_ = selection_schedules(RunConfig(options=options), 100)
        assert schedule.value("freeze_step", 0) == step

    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_codewords_of_the_shortest_runs_move(self, steps):
        schedule, stages = selection_schedules(RunConfig(), steps)
        begin = next(t for t in range(steps) if stages.stage_at(t) == "codewords")
        assert begin < schedule.value("freeze_step", 0) <= steps

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
        np.testing.assert_allclose(
            rates(schedule="linear", first_step=0.5), [0.1, 0.075, half, 0.075, 0], atol=1e-8
        )

    def test_logits_are_a_group_of_their_own(self, digits):
        config = RunConfig(optimizer="sgd", logit_rate_factor=0.25, weight_decay=0.1)
        model = compiled_model(config, digits, 10)
        logits = [sparse_quantizer(layer).positions for layer in binary_layers(model)]
        assert len(logits) == 5
        optimizer = model.optimizer
        grouped = [v for v in model.trainable_variables if optimizer._is_logits(v)]
        assert {id(v) for v in grouped} == {id(v) for v in logits}
        assert (optimizer.kind, optimizer.logit_kind) == ("sgd", "adam")
        assert (optimizer.logit_rate_factor, optimizer.decay_by_part) == (0.25, (0.1,))

    def test_label_smoothing(self, digits):
        model = compiled_model(RunConfig(label_smoothing=0.2), digits, 5)
        logits = tf.constant(np.random.default_rng(0).normal(size=(4, 10)), tf.float32)
        labels = tf.constant([1, 2, 3, 4], tf.int64)
        targets = 0.8 * np.eye(10)[[1, 2, 3, 4]] + 0.02
        log_p = logits.numpy() - np.log(np.exp(logits.numpy()).sum(1, keepdims=True))
        expected = -(targets * log_p).sum(1).mean()
        loss = float(model.compute_loss(y=labels, y_pred=logits))
        assert loss == pytest.approx(expected, rel=1e-5)

    def test_codewords_by_layer_and_model_options(self, digits):
        config = RunConfig(
            codewords={"binary0": 8, "*": 16}, model_options={"widths": [8, 8, 16]}
        )
        found = binary_layers(compiled_model(config, digits, 5))
        assert [sparse_quantizer(layer).codewords for layer in found] == [8, 16, 16]
        assert [layer.filters for layer in found] == [8, 8, 16]

    @pytest.mark.parametrize("options", [{"depth": 3}, {"codewords": 3}, {"name": "x"}])
    def test_model_options_that_are_none(self, digits, options):
        with pytest.raises(SparseBNNError, match=r"`model_options`.*(depth|comes from other)"):
            compiled_model(RunConfig(model_options=options), digits, 5)

    def test_float_network(self, digits):
        model = compiled_model(RunConfig(float_network=True), digits, 5)
        assert binary_layers(model) == []
        assert model.count_params() > 50_000

    def test_stages(self):
        def stages(**settings):
            return stage_starts(RunConfig(**settings))

        assert stages() == {0.3: "codewords"}
        assert stages(options={"choose_after": None}) == {}
        for selection in ("random", "covering"):
            assert stages(options={"initial_selection": selection}) == {}
        late = {"initial_selection": "random", "choose_after": 0.8}
        assert stages(options=late) == {0.8: "codewords"}
        assert stages(options={"initial_selection": "facility_location"}) == {0.3: "codewords"}
        assert stages(first_step=0.52) == {0.5: "codewords"}  # whole epochs of 10
        assert stages(method="frequent") == {0.3: "codewords"}
        assert stages(method="frequent", first_step=0.4) == {0.4: "codewords"}
        options = {"choose_after": 0.7}
        expected = {0.2: "sign", 0.7: "codewords"}
        assert stages(method="learned", first_step=0.2, options=options) == expected

    def test_unknown_model(self, digits):
        with pytest.raises(
            SparseBNNError, match=r"Expected a model out of .*small.*, got large"
        ):
            compiled_model(RunConfig(model="large"), digits, 5)


class TestRecipes:
    @pytest.mark.parametrize("name", RECIPES)
    def test_are_valid_and_say_nothing_twice(self, name):
        config = configured(name)
        assert config.recipe == name
        assert config.model in MODELS
        changed = {k for k, v in config.to_dict().items() if v != getattr(RunConfig(), k)}
        # Momentum and the second step's decay are said though they are the defaults.
        said = set(RECIPES[name].settings) - {"momentum", "weight_decay", "optimizer"}
        assert said - {"schedule", "logit_optimizer"} <= changed

    def test_settings_and_options_share_no_name(self):
        names = {name for options in OPTIONS.values() for name in options}
        assert not names & set(RunConfig().to_dict())

    def test_another_method_leaves_options_behind(self, tmp_path):
        RunConfig(options={"logits": "free", "temperature": 2.0, "magnitude_scale": True}).save(
            tmp_path / "r.json"
        )
        config = configured(str(tmp_path / "r.json"), {"method": "random"})
        assert config.options == {"magnitude_scale": True}

    def test_options_of_the_network(self, tmp_path):
        config = configured("cifar10-multi-bit", {"weight_bits": 3})
        assert config.model_options == {"activation_bits": 2, "weight_bits": 3}
        config = configured(None, {"activation_bits": 2, "model_options": {"widths": [8, 16]}})
        assert config.model_options == {"activation_bits": 2, "widths": [8, 16]}
        with pytest.raises(SparseBNNError, match=r"`weight_bits` to be an integer in \[1, 8\]"):
            configured(None, {"model_options": {"weight_bits": 0}})
        with pytest.raises(SparseBNNError, match="Did you mean activation_bits"):
            configured(None, {"activations_bit": 2})

    def test_no_recipe(self, tmp_path):
        (tmp_path / "r.json").write_text('{"epoch": 3}')
        with pytest.raises(SparseBNNError, match=r"keys of a run, got 'epoch' .*r\.json"):
            configured(str(tmp_path / "r.json"))
