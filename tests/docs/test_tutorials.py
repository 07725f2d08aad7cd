"""The notebooks run, cell by cell, and reach what their text says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the [docs] extra")

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"

# What holds at the end, in the notebook's own names.
CLAIMS = {
    "train_to_tflite": """
        assert keras_accuracy > 0.95
        assert len(small_file) < len(sub_bit_file) < len(lce_file)
        assert same_bits
        assert accuracy > keras_accuracy - 0.03, "int8 weights"
        """,
    "compress_a_larq_model": """
        assert one_bit > 0.95
        assert chosen_at_once > random_at_once + 0.1
        assert fine_tuned > one_bit - 0.04
        assert sizes["small.tflite"] < 0.5 * sizes["lce.tflite"]
        """,
    "run_on_a_board": """
        assert sys.modules["tensorflow"] is None
        assert found == model.labels
        assert same_bits
        assert 0 < change < 0.1 * np.ptp(scores["subbit"])
        sizes = [model.path(kind).stat().st_size for kind in ksb.pretrained.KINDS]
        assert sizes == sorted(sizes, reverse=True)
        assert all(timing.runtime.startswith("delegate") for timing in timings)
        """,
}


@pytest.fixture(scope="module")
def notebooks():
    spec = importlib.util.spec_from_file_location(
        "notebooks", ROOT / "docs" / "generate" / "notebooks.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_notebook_has_claims():
    assert {path.stem for path in TUTORIALS.glob("*.ipynb")} == set(CLAIMS)


@pytest.mark.parametrize("name", CLAIMS)
def test_runs(name, notebooks, tmp_path):
    notebook = nbformat.read(TUTORIALS / f"{name}.ipynb", as_version=4)
    claims = "\n".join(line.strip() for line in CLAIMS[name].strip().splitlines())
    notebook.cells.append(nbformat.v4.new_code_cell(claims))
    nbformat.write(notebook, tmp_path / "notebook.ipynb")
    notebooks.executed(tmp_path / "notebook.ipynb", tmp_path)


@pytest.mark.parametrize("name", CLAIMS)
def test_is_stored_with_its_outputs(name):
    notebook = nbformat.read(TUTORIALS / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), (
        "run: make notebooks"
    )
    assert (TUTORIALS / f"{name}.ipynb").stat().st_size < 200_000
