"""Matrices, results, statistics and comparisons: everything but the training."""

import copy
import dataclasses
import json
import math
import random
import re

import numpy as np
import pytest
from scipy import stats

from keras_sparsebnn.cli import main
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments import (
    Matrix,
    Result,
    Run,
    detectable_difference,
    paired_difference,
    read_results,
    seeds_needed,
)
from keras_sparsebnn.experiments.comparison import compare
from keras_sparsebnn.experiments.results import make_record, result_path, store
from keras_sparsebnn.experiments.statistics import power
from keras_sparsebnn.experiments.tables import as_markdown, as_text

MATRIX = {
    "version": 1,
    "datasets": ["digits"],
    "networks": ["small"],
    "seeds": [0, 1, 2],
    "settings": {"epochs": 2},
    "variants": [
        {"name": "one_bit", "method": "one_bit"},
        {"name": "random", "method": "random", "codewords": [16, 32]},
        {"name": "frozen", "method": "learned", "codewords": [16],
         "options": {"freeze_after": 0.4}, "settings": {"epochs": 3}},
    ],
}  # fmt: skip


def changed(**keys):
    return {**copy.deepcopy(MATRIX), **keys}


class TestMatrix:
    def test_runs_come_seed_by_seed(self):
        runs = Matrix.from_dict(MATRIX).runs
        assert [run.config.seed for run in runs] == [0] * 4 + [1] * 4 + [2] * 4
        assert [(r.variant, r.config.codewords) for r in runs[:4]] == [
            ("one_bit", 512),
            ("random", 16),
            ("random", 32),
            ("frozen", 16),
        ]

    def test_a_variants_settings_go_first(self):
        runs = {run.name: run.config for run in Matrix.from_dict(MATRIX).runs}
        frozen = runs["digits.small.frozen.n16.seed1"]
        assert (frozen.epochs, frozen.options) == (3, {"freeze_after": 0.4})
        assert runs["digits.small.random.n16.seed1"].epochs == 2

    def test_a_variants_networks_take_the_place_of_all(self):
        variants = [{**MATRIX["variants"][0], "networks": ["resnet20", "vgg_small"]}]
        variants += MATRIX["variants"][1:]
        runs = Matrix.from_dict(changed(variants=variants, seeds=[0])).runs
        assert [(run.variant, run.config.model) for run in runs[:3]] == [
            ("one_bit", "resnet20"),
            ("one_bit", "vgg_small"),
            ("random", "small"),
        ]

    def test_names_are_file_names(self):
        runs = Matrix.from_dict(changed(datasets=["cats/small:1.0.0"])).runs
        assert runs[0].name == "cats_small_1_0_0.small.one_bit.n512.seed0"

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"version": 2}, "Expected version 1, got 2"),
            ({"version": True}, "Expected version 1, got True"),
            ({"speed": 1}, "Expected only .*got 'speed'"),
            ({"seeds": []}, "`seeds` to be a list of integers"),
            ({"seeds": [0, 0]}, "each once"),
            ({"seeds": [0.5]}, "`seeds` to be a list of integers"),
            ({"seeds": [-1]}, "`seed`"),
            ({"datasets": "digits"}, "`datasets` to be a list of texts"),
            ({"settings": []}, "`settings` to be an object"),
            ({"settings": {"seed": 3}}, "without what the matrix itself says, got 'seed'"),
            ({"settings": {"epochs": 0}}, "`epochs`"),
            ({"settings": {"pace": 1}}, "'pace'"),
            ({"variants": {}}, "`variants` to be a list"),
            ({"variants": [{**MATRIX["variants"][0], "networks": []}]}, "`networks` to be"),
            ({"variants": []}, "Expected 1 to 100000 runs, got 0"),
            ({"variants": [{"name": "../x", "method": "random"}]}, "a variant's `name`"),
            ({"variants": [{"name": "x", "method": 3}]}, "`method` to be a text"),
            ({"variants": [{"name": "x", "method": "magic", "codewords": [4]}]}, "`method`"),
            ({"variants": [{"name": "x", "method": "random"}]}, "`codewords` to be a list"),
            (
                {"variants": [{"name": "x", "method": "random", "codewords": [3]}]},
                "a power of two.*variant x",
            ),
            (
                {"variants": [{"name": "x", "method": "random", "codewords": [4], "n": 3}]},
                "got 'n'",
            ),
            ({"variants": [MATRIX["variants"][0]] * 2}, "of different names"),
            ({"seeds": list(range(40_000))}, "at most 100000 runs"),
        ],
    )
    def test_refuses(self, keys, message):
        with pytest.raises(SparseBNNError, match=message):
            Matrix.from_dict(changed(**keys))

    def test_only_some(self):
        matrix = Matrix.from_dict(MATRIX)
        names = [run.name for run in matrix.only(["*.random.n16.*", "*.seed2"]).runs]
        assert len(names) == 3 + 4 - 1
        assert names[0] == "digits.small.random.n16.seed0"
        with pytest.raises(SparseBNNError, match=r"a pattern that matches .*got '\*\.n3\.\*'"):
            matrix.only(["*.n16.*", "*.n3.*"])

    def test_names_the_file(self, tmp_path):
        (tmp_path / "m.json").write_text('{"version": 1, "seeds": [')
        with pytest.raises(SparseBNNError, match=r"Expected JSON.*m\.json"):
            Matrix.load(tmp_path / "m.json")

    def test_the_matrices_of_this_project_are_valid(self, pytestconfig):
        paths = sorted((pytestconfig.rootpath / "benchmarks" / "accuracy").rglob("*.json"))
        matrices = [json.loads(path.read_text()) for path in paths]
        assert sum("variants" in matrix for matrix in matrices) >= 2
        for path, matrix in zip(paths, matrices, strict=True):
            if "variants" in matrix:
                assert Matrix.load(path).runs


class TestStatistics:
    def test_paired_difference_is_scipys(self):
        rng = np.random.default_rng(3)
        for seeds in (2, 3, 5, 30):
            a, b = rng.normal(0.88, 0.01, (2, seeds))
            ours = paired_difference(list(a), list(b), confidence=0.9)
            test = stats.ttest_rel(a, b)
            low, high = test.confidence_interval(0.9)
            assert ours.mean - ours.half_width == pytest.approx(low, rel=1e-9)
            assert ours.mean + ours.half_width == pytest.approx(high, rel=1e-9)
            assert ours.separated == (test.pvalue < 0.1)

    def test_one_seed_says_nothing_about_spread(self):
        one = paired_difference([0.9], [0.8])
        assert (one.deviation, one.half_width, one.separated) == (None, None, False)

    def test_needs_pairs(self):
        with pytest.raises(SparseBNNError, match=r"Expected pairs.*got 2 and 1"):
            paired_difference([0.9, 0.8], [0.8])

    # Published sample sizes of the two-sided paired t-test, level 5 %, power 80 %
    # (Cohen's d_z -> pairs), as G*Power and every textbook's table have them.
    @pytest.mark.parametrize(("d", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
    def test_seeds_needed_are_the_published_ones(self, d, pairs):
        assert seeds_needed(0.005, 0.005 / d) == pairs

    def test_power_is_what_simulation_finds(self):
        draws = np.random.default_rng(0).normal(0.5, 0.6, (20_000, 5))
        found = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05)
        # Standard error of a share of 20,000 draws: at most 0.0035; four of them.
        assert power(0.5, 0.6, 5) == pytest.approx(found, abs=0.014)

    def test_detectable_difference_has_just_that_power(self):
        for seeds in (2, 3, 10):
            difference = detectable_difference(0.3, seeds)
            assert power(difference, 0.3, seeds) == pytest.approx(0.8, abs=1e-6)

    def test_extremes(self):
        assert seeds_needed(1.0, 0.0) == 2
        assert seeds_needed(1e-6, 1.0) is None
        with pytest.raises(SparseBNNError, match="a difference other than 0"):
            seeds_needed(0.0, 1.0)
        with pytest.raises(SparseBNNError, match="a deviation of at least 0"):
            seeds_needed(0.1, math.nan)
        with pytest.raises(SparseBNNError, match="at least 2 seeds"):
            detectable_difference(0.3, 1)


def record_of(run, accuracy, selections=({"binary0": [1, 2]}, {"binary0": [2, 5]})):
    """What a worker records."""
    record = {"accuracy": accuracy, "loss": 1.0, "val_accuracy": accuracy / 2, "val_loss": 1.0}
    history = [{**record, "selection": selection} for selection in selections]
    final = {"test_accuracy": accuracy, "test_loss": 1.0, "test_size": 10, "steps": 2}
    metrics = {"history": history, "final": final}
    return make_record(run, metrics, {"commit": "abc"}, 12.34)


def edit(folder, name, change):
    """Replaces the record of a run by what `change` makes of it; None removes it."""
    for path in [*folder.glob("*.json"), *folder.glob("*.jsonl")]:
        records = [json.loads(line) for line in path.read_text().splitlines()]
        names = [Result.from_dict(record, "").name for record in records]
        if name in names:
            records[names.index(name)] = change(records[names.index(name)])
            path.write_text("".join(json.dumps(r) + "\n" for r in records if r is not None))
            if path.stat().st_size == 0:
                path.unlink()
            return
    raise AssertionError(name)


def with_epochs(count):
    """The same record, made with that many epochs."""
    return lambda record: {**record, "config": {**record["config"], "epochs": count}}


@pytest.fixture(params=["a record a line", "a file a run"])
def folder(tmp_path, request):
    """The whole matrix, as this version or the one before stores it.

    random is 1 point below 1-bit, frozen 2 or 3 above random.
    """
    for run in Matrix.from_dict(MATRIX).runs:
        seed = run.config.seed
        points = {"one_bit": 0.0, "random": -0.01, "frozen": 0.01 + 0.01 * (seed % 2)}
        record = record_of(run, 0.8 + 0.05 * seed + points[run.variant])
        if request.param == "a file a run":
            result_path(tmp_path, run).write_text(json.dumps(record))
        else:
            store(tmp_path, record)
    return tmp_path


class TestResults:
    def test_round_trip(self, folder):
        results, left_out = read_results(folder)
        assert len(results) == 12
        assert not left_out
        (frozen,) = (r for r in results if (r.variant, r.seed) == ("frozen", 1))
        assert frozen.test_accuracy == pytest.approx(0.87)
        assert frozen.epochs == pytest.approx((0.435, 0.435))
        assert (frozen.method, frozen.codewords, frozen.cpu_seconds) == ("learned", 16, 12.3)
        assert frozen.bits_per_weight == pytest.approx(4 / 9)

    def test_paths_of_this_machine_stay_out(self, tmp_path):
        (run, *_) = Matrix.from_dict(changed(settings={})).runs
        there = Run(run.variant, dataclasses.replace(run.config, data_dir=str(tmp_path)))
        record = record_of(there, 0.5)
        assert record["config"]["data_dir"] is None
        assert str(tmp_path) not in json.dumps(record)

    def test_counts_exchanged_codewords(self):
        (run, *_) = Matrix.from_dict(MATRIX).runs
        assert record_of(run, 0.5)["codewords_changed"] == [1]

    def test_layers_restricted_late_exchange_nothing_then(self):
        (run, *_) = Matrix.from_dict(MATRIX).runs
        record = record_of(run, 0.5, [{}, {"binary0": [1, 2]}])
        assert record["codewords_changed"] == [0]

    @pytest.mark.parametrize("key", ["variant", "method", "network", "dataset"])
    @pytest.mark.parametrize("value", ["x\x1b[2J", "a\nb", "", "x" * 201, "\u202ex"])
    def test_names_that_a_terminal_would_obey(self, key, value):
        (run, *_) = Matrix.from_dict(MATRIX).runs
        record = record_of(run, 0.5)
        record["run"] = {**record["run"], key: value}
        with pytest.raises(SparseBNNError, match="Expected the result of a run"):
            Result.from_dict(record, "here")

    def test_damaged_files_are_left_out_by_name(self, folder):
        good = next(folder.glob("digits*"))
        whole = good.read_bytes()
        rng = random.Random(0)
        for index in range(60):
            data = bytearray(whole)
            for _ in range(rng.randint(1, 8)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            cut = bytes(data[: rng.randrange(len(data))]) if index % 2 else bytes(data)
            good.write_bytes(cut)
            results, left_out = read_results(folder)  # never any other exception
            assert len(results) + len(left_out) <= 12
            assert all(good.name in reason for reason in left_out)
        good.write_bytes(whole[:100] + b"\n")
        assert len(read_results(folder)[1]) == 1

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("version", 2),
            ("final", {"test_accuracy": 1.5}),
            ("final", {"test_accuracy": float("nan")}),
            ("epochs", {"test_accuracy": "x"}),
            ("cpu_seconds", -1.0),
            ("run", {}),
            ("config", None),
        ],
    )
    def test_refuses(self, folder, key, value):
        name = "digits.small.random.n16.seed1"
        edit(folder, name, lambda record: {**record, key: value})
        results, (reason,) = read_results(folder)
        assert len(results) == 11
        assert name not in [result.name for result in results]
        assert re.fullmatch(r"Expected the result of a run.*Remove it.*", reason)

    def test_the_last_record_of_a_run_counts(self, tmp_path):
        (run, *_) = Matrix.from_dict(MATRIX).runs
        result_path(tmp_path, run).write_text(json.dumps(record_of(run, 0.25)))
        store(tmp_path, record_of(run, 0.5))
        store(tmp_path, record_of(run, 0.75))
        (result,), left_out = read_results(tmp_path)
        assert (result.test_accuracy, left_out) == (0.75, [])
        assert result.where.endswith("digits.jsonl, line 2")

    def test_no_folder(self, tmp_path):
        with pytest.raises(SparseBNNError, match="Expected a folder of results"):
            read_results(tmp_path / "none")


class TestComparison:
    def test_differences_pair_seeds(self, folder):
        (comparison,) = compare(read_results(folder)[0])
        rows = {(row.variant, row.codewords): row for row in comparison.rows}
        frozen = rows["frozen", 16]
        assert frozen.mean == pytest.approx(0.85 + 0.04 / 3)
        # Paired: +2, +3, +2 points; unpaired, the seeds' 5 points would drown them.
        assert frozen.differences["random"].mean == pytest.approx(0.07 / 3)
        expected = 4.302653 * np.std([2, 3, 2], ddof=1) / math.sqrt(3) / 100
        assert frozen.differences["random"].half_width == pytest.approx(expected, rel=1e-6)
        assert frozen.differences["random"].separated
        # one_bit was run at one n only: everything compares with it.
        assert rows["random", 32].differences["one_bit"].mean == pytest.approx(-0.01)
        assert "random" not in rows["one_bit", 512].differences
        assert frozen.own_settings == {"epochs": 3}
        assert comparison.settings["epochs"] == 2

    def test_only_shared_seeds_count(self, folder):
        edit(folder, "digits.small.random.n16.seed1", lambda record: None)
        (comparison,) = compare(read_results(folder)[0], baselines=["random"])
        (row,) = (row for row in comparison.rows if row.variant == "frozen")
        assert (len(row.accuracies), row.differences["random"].seeds) == (3, 2)

    def test_baseline_must_be_there(self, folder):
        with pytest.raises(SparseBNNError, match=r"a baseline among frozen.*got snn"):
            compare(read_results(folder)[0], baselines=["snn"])

    def test_mixed_settings_are_no_row(self, folder):
        edit(folder, "digits.small.random.n16.seed1", with_epochs(7))
        with pytest.raises(SparseBNNError, match="n = 16, to differ in their seeds only"):
            compare(read_results(folder)[0])

    def test_an_earlier_versions_settings_are_the_same(self, folder):
        kept = ("dataset", "model", "method", "codewords", "options", "epochs", "batch_size")

        def earlier(record):
            config = {key: record["config"][key] for key in kept}
            return {**record, "config": {"version": 1, **config}}

        edit(folder, "digits.small.random.n16.seed1", earlier)
        (comparison,) = compare(read_results(folder)[0])
        (row,) = (r for r in comparison.rows if (r.variant, r.codewords) == ("random", 16))
        assert len(row.accuracies) == 3

    def test_tables(self, folder):
        (comparison,) = compare(read_results(folder)[0])
        text, page = as_text(comparison), as_markdown(comparison)
        assert "86.33 ± 5.03" in text
        assert "+2.33 [+0.90, +3.77] *" in text
        assert "**+2.33 [+0.90, +3.77]**" in page
        assert "frozen, n = 16: epochs 3." in text
        assert "seeds (power 80 %" in text


class TestCommand:
    def matrix(self, tmp_path):
        path = tmp_path / "matrix.json"
        path.write_text(json.dumps(MATRIX))
        return str(path)

    def test_table_and_json(self, folder, capsys):
        assert main(["experiment", "--table", str(folder)]) == 0
        assert "digits, small" in capsys.readouterr().out
        assert main(["experiment", "--table", str(folder), "--json"]) == 0
        (data,) = json.loads(capsys.readouterr().out)
        frozen = next(row for row in data["rows"] if row["variant"] == "frozen")
        assert frozen["differences"]["random"]["seeds"] == 3
        # d = 0.5 points over a deviation of 0.58 points.
        assert frozen["seeds_to_tell_0.5_points"]["random"] == 13

    @pytest.mark.parametrize("more", [[], ["--curves"]])
    def test_plots(self, folder, more):
        image = folder / "plot.png"
        assert main(["experiment", "--plot", str(folder), "-o", str(image), *more]) == 0
        assert image.read_bytes().startswith(b"\x89PNG")
        assert image.stat().st_size > 10_000

    def test_dry_run_says_what_is_left(self, folder, tmp_path, capsys):
        edit(folder, "digits.small.frozen.n16.seed2", lambda record: None)
        arguments = ["experiment", self.matrix(tmp_path), "--out", str(folder), "--dry-run"]
        assert main(arguments) == 0
        out = capsys.readouterr().out
        assert "digits.small.frozen.n16.seed2  to do" in out
        assert "11 of 12 runs are finished" in out
        assert main([*arguments, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["runs"][
            "digits.small.one_bit.n512.seed0"
        ] == ("finished")

    def test_finished_runs_are_not_made_again(self, folder, tmp_path, capsys):
        assert main(["experiment", self.matrix(tmp_path), "--out", str(folder)]) == 0
        assert "12 of 12 runs are finished" in capsys.readouterr().out
        assert not (folder / "runs").exists()

    def test_results_that_do_not_fit_fail_and_stay(self, folder, tmp_path, capsys):
        edit(folder, "digits.small.random.n16.seed1", with_epochs(7))
        edit(folder, "digits.small.random.n32.seed1", lambda record: None)
        damaged = folder / "digits.small.random.n32.seed1.json"  # by its name, of that run
        damaged.write_text("{")
        assert main(["experiment", self.matrix(tmp_path), "--out", str(folder)]) == 1
        out = capsys.readouterr().out
        assert "10 of 12 runs are finished, 2 failed" in out
        assert "got another `epochs`: 7 instead of 2" in out
        assert "Expected JSON" in out
        assert damaged.read_text() == "{"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "Expected a matrix, --table DIR or --plot DIR"),
            (["m.json", "--table", "x"], "Expected a matrix, --table DIR or --plot DIR"),
            (["m.json"], "Expected --out DIR"),
            (["m.json", "--out", "x", "--jobs", "0"], "Expected --jobs in"),
            (["m.json", "--out", "x"], "No such file"),
            (["--table", "none"], "Expected a folder of results"),
            (["--plot", "none"], "Expected --output FILE"),
        ],
    )
    def test_errors_are_one_line(self, arguments, message, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert main(["experiment", *arguments]) == 2
        assert message in capsys.readouterr().err

    def test_an_empty_folder_has_no_table(self, tmp_path, capsys):
        assert main(["experiment", "--table", str(tmp_path)]) == 2
        assert "Expected results of finished runs, found none" in capsys.readouterr().err
