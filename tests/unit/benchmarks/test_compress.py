"""The ways to compress a trained network, on a few images."""

import pytest

from benchmarks.accuracy import compress
from keras_sparsebnn.data import load

WAYS = ("random", "facility_location", "structured", "allocate")


@pytest.fixture(scope="module")
def runs():
    with pytest.MonkeyPatch.context() as patched:
        options = {"EPOCHS": 1, "EPOCHS_AFTER": 1, "PROBED": 1}
        for name, value in {**options, "SIZES": (16,), "WIDTHS": (16, 32)}.items():
            patched.setattr(compress, name, value)
        return compress.runs_of(load("digits"), seed=0)


def test_every_way_starts_from_one_network(runs):
    assert [run["way"] for run in runs] == [*WAYS, "one_bit"]
    assert len({run["before"] for run in runs}) == 1


def test_allocation_takes_no_more_bits_than_n_in_every_layer(runs):
    by_way = {run["way"]: run for run in runs}
    uniform, allocated = by_way["facility_location"], by_way["allocate"]
    assert uniform["by_layer"] == [16] * 2
    assert len(set(allocated["by_layer"])) > 1
    assert allocated["bits_per_weight"] <= uniform["bits_per_weight"]
    assert by_way["one_bit"]["bits_per_weight"] == 1


def test_bits_count_codebooks():
    kernels = 2 * 16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64
    bits = 4 * kernels + 6 * 16 * 9
    assert compress.bits_per_weight([16] * 6) == pytest.approx(bits / (9 * kernels))
