"""The script that fits the delegate's cost model, on times that are known."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed import fit_cost_model
from benchmarks.speed.fit_cost_model import End

KERNEL_LIST = Path(__file__).parents[3] / "delegate" / "kernels" / "bconv2d" / "kernel_list.inc"
TRUE_END = End(half_block=0.7, dense_pixel=2.5)
COMPILED_END = End(half_block=0.65, dense_pixel=2.0)
WEIGHTS = {"x128": (0.6, 12.0, 66.0, 26.0), "x256": (0.9, 16.0, 128.0, 34.0)}


def in_blocks(row, end):
    dense = end.dense_pixel * row["dense_pixels"] / row["block_places"]
    return row["whole_blocks"] + end.half_block * row["half_blocks"] + dense


@pytest.fixture
def rows():
    """Rows of kernels_bench whose times follow the model exactly."""
    rng = np.random.default_rng(0)
    result = []
    for tile, weights in WEIGHTS.items():
        for number in range(40):
            half, dense = int(rng.integers(2)), int(rng.integers(40))
            row = {
                **{"kernel": "codebook", "tile": tile, "isa": "avx512"},
                "output": "bits" if number % 2 else "float",
                **{"whole_blocks": int(rng.integers(1, 5)), "half_blocks": half},
                **{"dense_pixels": dense, "block_places": int(tile[1:])},
            }
            row["blocks"] = in_blocks(row, COMPILED_END)
            for term, greatest in (("entries", 900), ("sums", 300), ("outputs", 64)):
                row[term] = int(rng.integers(1, greatest)) * row["blocks"]
            terms = np.array([row["entries"], row["sums"], row["outputs"]])
            of_output = weights[3] if row["output"] == "bits" else weights[2]
            cost = terms @ [weights[0], weights[1], of_output]
            row["ns"] = cost * in_blocks(row, TRUE_END) / row["blocks"]
            result.append(row)
    return result


def test_the_costs_of_a_raster_s_end_are_found(rows):
    end, error = fit_cost_model.fit_end(rows)
    np.testing.assert_allclose(end, TRUE_END, rtol=1e-9)
    assert error < 1e-9


@pytest.mark.parametrize("tile", WEIGHTS)
def test_weights_are_found(rows, tile):
    measured = fit_cost_model.by_kernel(rows)["codebook", tile, "avx512"]
    weights, ratio = fit_cost_model.fit_kernel(measured, TRUE_END)
    np.testing.assert_allclose(weights, WEIGHTS[tile], rtol=1e-6)
    np.testing.assert_allclose(ratio, 1, rtol=1e-6)


def test_it_prints_what_the_list_of_kernels_has(rows, capsys):
    text = KERNEL_LIST.read_text()
    found = re.findall(r"SPARSEBNN_(\w+)\(([\d, ]+), (\w+), OnAnyCore\(\{(.*?)\}\)\)", text)
    assert len(found) == 8
    for kind, sizes, isa, numbers in found:
        tile = "x".join(sizes.split(", ")) if kind == "XNOR" else f"x{sizes}"
        weights = np.array([float(number) for number in numbers.split(",")])
        assert fit_cost_model.line(kind.lower(), tile, isa, weights) + "\n" in text
    fit_cost_model.fit(rows)
    printed = capsys.readouterr().out
    assert "kDensePixelPlaces = 2.5;" in printed
    assert "SPARSEBNN_CODEBOOK(128, avx512, OnAnyCore({0.6, 12, 66, 26}))" in printed
