"""The recorded runs in benchmarks/accuracy/, and the page about them."""

import json
import re
from pathlib import Path

import pytest
from scipy.stats import t

from docs.generate import systems
from docs.generate.accuracy import recorded
from docs.generate.regimes import REGIMES, compared
from keras_sparsebnn.experiments import records

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"results": 2, "two-epochs": 3}  # and at least how many figures
FOLDERS = {  # folder -> its files, and at least how many runs
    "": (2, 142),
    "fashion": (1, 75),
    "long": (1, 45),
    "short": (1, 65),
    "systems": (1, 57),
}
RECORDS = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / "benchmarks" / "accuracy" / folder).glob("*.jsonl"))
]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


@pytest.mark.parametrize("name", PAGES)
def test_its_figures_are_there(name):
    page = ROOT / "docs" / f"{name}.md"
    figures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text("utf-8"))
    assert len(figures) >= PAGES[name]
    for figure in figures:
        assert (page.parent / figure).read_bytes().startswith(b"\x89PNG"), figure


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_run_is_recorded_once(folder):
    paths = [path for path in RECORDS if path.parent.name == (folder or "accuracy")]
    count = sum(1 for path in paths for _ in records.read(path))
    names = {result.name for result in recorded(folder)}
    files, least = FOLDERS[folder]
    assert len(paths) == files
    assert count == len(recorded(folder)) == len(names) >= least


def test_every_regime_is_looked_at():
    assert set(FOLDERS) == {"", *REGIMES, systems.FOLDER}


@pytest.mark.parametrize("name", REGIMES)
def test_planned_intervals_hold_together(name):
    """Each of k comparisons at 1 - 0.05 / k, so all of them at 95 %."""
    planned = compared(name)
    sizes = {n for _, n, _ in planned}
    assert {16} <= sizes <= {16, 32}
    count = len(REGIMES[name].planned) * len(sizes)
    found = [d for _, _, d in planned if d.half_width is not None]
    assert found
    for d in found:
        quantile = t.ppf(1 - 0.05 / count / 2, d.seeds - 1)
        assert d.half_width == pytest.approx(quantile * d.deviation / d.seeds**0.5)


def test_recorded_runs_say_where_they_come_from():
    for path in RECORDS:
        for number, record in records.read(path):
            environment, where = record["environment"], f"{path.name}, line {number}"
            assert re.fullmatch(r"[0-9a-f]{12}", environment["commit"]), where
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", environment["date"]), where
            assert environment["versions"]["tensorflow"], where
            assert record["config"]["data_dir"] is None, where
            assert len(json.dumps(record)) < 8192, where


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_results_are_written_a_record_a_line(path):
    from benchmarks.result_files import to_text

    text = path.read_text("utf-8")
    assert text == to_text(json.loads(text)) + "\n"
    assert text.count("\n") < 1000
