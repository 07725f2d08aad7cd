"""A search in a small supernet of the real digits: what it writes, and how it goes on."""

from __future__ import annotations

import dataclasses
import json
import os
import signal

import numpy as np
import pytest

import keras_sparsebnn as ksb
from keras_sparsebnn import data
from keras_sparsebnn._files import locked
from keras_sparsebnn._keras import keras
from keras_sparsebnn.cli import main
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments import records
from keras_sparsebnn.experiments.ray_executor import RayExecutor
from keras_sparsebnn.saved_models import load_model
from keras_sparsebnn.search import Budget, Evaluator, SearchConfig, Supernet, export, search
from keras_sparsebnn.search.evolution import Candidate
from keras_sparsebnn.search.figure import candidates_figure
from keras_sparsebnn.search.folder import SearchFolder
from keras_sparsebnn.search.orders import (
    EvaluationOrder,
    carry_out_evaluation,
    known_candidates,
)
from keras_sparsebnn.training import RunConfig, TrainingInterruptedError, train

NETWORK = RunConfig(
    model="mobile_grouped",
    model_options={"width": 32, "depths": [1, 1], "strides": [2, 2, 2]},
    method="one_bit",
    codewords=512,
    epochs=1,
    batch_size=128,
    batch_norm_batches=1,
)
LAYERS = ["stage0_0", "stage0_0_pw", "stage1_0", "stage1_0_pw"]
BUDGET = Budget("bops", 80_000)
SMALL = {"population": 3, "generations": 2, "parents": 2, "batches": 2}


class InThisProcess:
    """An executor without workers; may be killed after that many candidates."""

    slots = 1

    def __init__(self, killed_after: int = 1000) -> None:
        self.left = killed_after

    def start(self, order) -> None:
        self.order = order

    def messages(self, seconds):
        def say(count):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt

        done = carry_out_evaluation(json.loads(json.dumps(self.order.to_dict())), say)
        yield self.order, {"candidates": done}
        yield self.order, {"finished": done}

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


class Crew(InThisProcess):
    """Room for four workers, who make candidates up; knows how many got work at once."""

    slots = 4

    def __init__(self) -> None:
        super().__init__()
        self.active: list[EvaluationOrder] = []
        self.most = 0

    def start(self, order: EvaluationOrder) -> None:
        self.active.append(order)
        self.most = max(self.most, len(self.active))

    def messages(self, seconds):
        order = self.active.pop()
        for genes in order.genes:
            made_up = Candidate(genes, cost=sum(genes), score=0.5)
            records.append(order.records, dataclasses.asdict(made_up))
        yield order, {"finished": len(order.genes)}


class StopAfter(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 4:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a supernet's run, which was stopped once."""
    folder = tmp_path_factory.mktemp("supernet")
    config = SearchConfig(network=NETWORK, budget=BUDGET).of_supernet()
    assert (config.model_options["groups"], config.holdout) == ("search", 0.1)
    with pytest.raises(TrainingInterruptedError):
        train(config, folder, callbacks=[StopAfter()])
    train(config, folder)
    return folder


@pytest.fixture(scope="module")
def config(run):
    return SearchConfig(network=NETWORK, budget=BUDGET, supernet=str(run), **SMALL)


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    """The folder of a search, and its result."""
    folder = tmp_path_factory.mktemp("search")
    return SearchFolder(folder), search(config, folder, executor=InThisProcess)


@pytest.mark.filterwarnings("ignore")
def test_candidates_are_evaluated_on_a_cluster(config, finished, cluster, tmp_path):
    search(config, tmp_path, executor=lambda: RayExecutor(cluster.address))
    expected, found = (
        known_candidates(folder.candidates) for folder in (finished[0], SearchFolder(tmp_path))
    )
    assert len(found) >= 2
    assert found.keys() == expected.keys()
    for genes, candidate in found.items():
        # A task has one thread; that may round another way.
        assert candidate.score == pytest.approx(expected[genes].score, abs=0.02)


def dataset(config):
    base = config.of_supernet()
    return data.load(base.dataset, **base.data_options)


def test_a_stopped_supernet_ends_as_one_that_was_not(run, config, tmp_path):
    train(config.of_supernet(), tmp_path)
    models = [load_model(folder / "model.keras") for folder in (run, tmp_path)]
    for weights in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(*weights)
    assert {models[0].get_layer(name).chosen for name in LAYERS} == {1}


class TestOutcome:
    def test_the_budget_is_never_exceeded(self, finished):
        folder, result = finished
        found = known_candidates(folder.candidates)
        assert set(found) == {(1, 1, 2, 1), (1, 1, 2, 2)}  # all that fit
        assert all(c.cost <= BUDGET.limit and 0 <= c.score <= 1 for c in found.values())
        best = max(found.values(), key=lambda c: (c.score, -c.cost))
        assert tuple(result["best"]["genes"]) == best.genes
        assert json.loads(folder.result.read_text())["best"] == json.loads(
            json.dumps(result["best"])
        )

    def test_the_winner_is_a_recipe(self, finished):
        folder, result = finished
        config = RunConfig.load(folder.winner)
        assert config.model_options["groups"] == list(result["best"]["choices"].values())
        assert config.holdout is None

    def test_the_winner_has_the_accuracy_that_was_measured(self, finished, config):
        folder, result = finished
        winner = load_model(folder.model)
        images = dataset(config)
        winner.compile(metrics=["sparse_categorical_accuracy"])
        (_, accuracy) = winner.evaluate(images.test(128), verbose=0)
        assert accuracy == pytest.approx(result["best"]["score"])

    def test_costs_are_those_of_the_summary(self, finished):
        folder, result = finished
        found = ksb.summary(load_model(folder.model))
        assert result["best"]["cost"] == pytest.approx(found.totals.gbops * 1e9)

    def test_masked_is_exported_is_file(self, run, rng):
        pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")
        from keras_sparsebnn.converters import convert_keras_model, inspect
        from tests.unit.layers.runtimes_agree import assert_runtimes_agree

        model = load_model(run / "model.keras")
        x = rng.normal(size=(2, 8, 8, 1)).astype(np.float32)
        genes = (1, 1, 2, 2)  # both choices, of 3x3 and 1x1 layers
        options = dict(zip(LAYERS, genes, strict=True))
        found = export(model, options)
        for name, choice in options.items():
            assert model.get_layer(name).chosen == 1
            model.get_layer(name).choose(choice)
        np.testing.assert_array_equal(found(x), model(x))  # masked = exported
        flat = convert_keras_model(found)
        assert tuple(c.groups for c in inspect(flat).binary_layers) == genes
        assert_runtimes_agree(found, flat, x)

    def test_the_figure(self, finished, tmp_path):
        folder, _ = finished
        output = tmp_path / "search.png"
        assert main(["plot", str(folder.path), "--kind", "search", "-o", str(output)]) == 0
        assert output.read_bytes().startswith(b"\x89PNG")
        with pytest.raises(SparseBNNError, match="Expected candidates with a score"):
            candidates_figure([], BUDGET)


class TestGoingOn:
    def test_killed_and_resumed(self, config, finished, tmp_path):
        folder, result = finished
        with pytest.raises(KeyboardInterrupt):
            search(config, tmp_path, executor=lambda: InThisProcess(killed_after=1))
        killed = SearchFolder(tmp_path)
        assert len(known_candidates(killed.candidates)) == 2
        with killed.candidates.open("a") as file:  # and a line that was not written whole
            file.write('{"genes": [1, 1,')
        again = search(config, tmp_path, executor=InThisProcess)
        assert again["best"] == result["best"]
        expected = known_candidates(folder.candidates)
        assert known_candidates(killed.candidates) == expected

    def test_two_at_a_time(self, config, tmp_path):
        with locked(tmp_path), pytest.raises(SparseBNNError, match="no other process to work"):
            search(config, tmp_path, executor=InThisProcess)

    def test_another_search(self, config, finished):
        folder, _ = finished
        other = dataclasses.replace(config, mutation=0.5)
        with pytest.raises(SparseBNNError, match=r"settings of the search .* `mutation`"):
            search(other, folder.path, executor=InThisProcess)

    def test_a_folder_with_something_else(self, config, tmp_path):
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(SparseBNNError, match=r"found thesis\.tex without it"):
            search(config, tmp_path, executor=InThisProcess)

    def test_a_budget_under_everything(self, config, tmp_path):
        with pytest.raises(SparseBNNError, match=r"at least bops=67584, .*, got bops=1000"):
            search(
                dataclasses.replace(config, budget=Budget("bops", 1000)),
                tmp_path,
                executor=InThisProcess,
            )
        assert not (tmp_path / "search.json").exists()


class TestEvaluator:
    def test_over_codewords(self, rng):
        from keras_sparsebnn.models import small

        keras.utils.set_random_seed(3)
        model = small((8, 8, 1), 10, codewords=512, kernel_quantizer="one_bit", widths=(8, 16))
        supernet = Supernet(model, "codewords", (8, 512))
        assert supernet.space == {"binary0": (8, 512), "binary1": (8, 512)}
        images = data.load("digits", holdout=0.1)
        evaluate = Evaluator(supernet, images, Budget("bytes", 1e9), batches=2)
        whole = evaluate((512, 512))
        fewer = evaluate((8, 512))
        assert fewer.cost < whole.cost
        assert evaluate((512, 512)) == whole
        # As of the network that is written.
        exported = export(model, {"binary0": 8, "binary1": 512}, "codewords")
        ksb.reestimate_batch_norm(exported, images.train(0, 0, 128), steps=2)
        exported.compile(metrics=["sparse_categorical_accuracy"])
        (_, accuracy) = exported.evaluate(images.test(128), verbose=0)
        assert fewer.score == pytest.approx(accuracy)
        used = {tuple(k) for k in ksb.freeze(exported).get_layer("binary0").get_weights()[0]
                .reshape(9, -1).T.tolist()}  # fmt: skip
        assert len(used) <= 8

    def test_measured_latency(self, run, config):
        pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")
        supernet = Supernet(load_model(run / "model.keras"), "groups")
        evaluate = Evaluator(supernet, dataset(config), Budget("latency_ms", 1e-6), batches=1)
        candidate = evaluate((1, 1, 2, 2))
        assert 0 < candidate.cost < 1000
        assert candidate.score is None  # over the budget

    @pytest.mark.parametrize(("kind", "most"), [("latency_ms", 1), ("bops", 4)])
    def test_latency_is_measured_by_one_worker(self, config, tmp_path, kind, most, monkeypatch):
        monkeypatch.setattr("keras_sparsebnn.search.run._LEAST", 1)
        crew = Crew()
        budget = Budget(kind, 1e9)
        many = dataclasses.replace(config, budget=budget, population=4, generations=1)
        search(many, tmp_path, executor=lambda: crew)
        assert crew.most == most

    def test_nothing_to_search(self):
        model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
        for over, what in (("groups", "groups that are searched"), ("codewords", "of 1 bit")):
            with pytest.raises(SparseBNNError, match=what):
                Supernet(model, over)


def test_the_command(run, tmp_path, capsys):
    """With a worker of its own."""
    options = ["--population=2", "--generations=1", "--parents=1", "--batches=1", "--json"]
    command = ["search", "--supernet", str(run), "--budget=bytes=30000", *options]
    assert main([*command, "--out", str(tmp_path / "found")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["evaluated"] == 2
    assert result["best"]["cost"] <= 30_000
    assert RunConfig.load(tmp_path / "found" / "winner.json").model == "mobile_grouped"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "watts=3"], "Expected a budget like bops=2e6"),
        (["--budget", "bops=9", "--population", "1"], "`population`"),
        (["--budget", "bops=9", "--choices", "3"], "`choices` to be different powers of two"),
        (["--budget", "bops=9", "--supernet", "nowhere"], "found no run.json (nowhere)"),
        (
            ["--budget", "bops=9", "--set", "groups=2"],
            "no `groups`, which are searched",
        ),
        (["--budget", "bops=9", "--set", "codewords={}"], "`codewords`"),
        (["--budget", "latency_ms=9", "--jobs", "2"], "one local worker with latency_ms"),
        (["--budget", "bops=9", "--gpus-per-run", "1"], "--gpus-per-run with --executor ray"),
    ],
)
def test_wrong_options(options, message, tmp_path, capsys):
    assert main(["search", "--out", str(tmp_path / "out"), *options]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_settings_beside_a_supernet(run, tmp_path, capsys):
    command = ["search", "--out", str(tmp_path / "out"), "--budget=bops=9"]
    assert main([*command, "--supernet", str(run), "--epochs=3"]) == 2
    assert "no settings of a run with --supernet, which has its own, got --epochs" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("flags", [[], ["--download"]])
def test_data_is_fetched_only_when_asked_for(flags, tmp_path, monkeypatch, capsys):
    asked = []

    def load(name, *, download, **options):
        asked.append(download)
        raise SparseBNNError("Expected no more than this.")

    monkeypatch.setattr("keras_sparsebnn.search.run.data.load", load)
    command = ["search", "--out", str(tmp_path / "out"), "--budget", "bops=1e9", "--quiet"]
    assert main([*command, *flags]) == 2
    assert asked == [bool(flags)]
    assert "no more than this" in capsys.readouterr().err
