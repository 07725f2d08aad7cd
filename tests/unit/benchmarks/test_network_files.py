"""The networks that benchmarks compare: what they claim to be."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.speed.network_files import BINARY, NETWORKS, _plain_resnet18, as_if_trained
from keras_sparsebnn._keras import keras
from keras_sparsebnn.models import resnet20


def test_every_file_has_a_name_of_its_own():
    names = [network.file(form) for network in NETWORKS for form in network.forms]
    assert len(set(names)) == len(names) == 25
    assert all(network.source and 50 < network.top1 < 100 for network in NETWORKS)


def test_binary_networks_come_as_all_files():
    assert [n.name for n in NETWORKS if n.forms == BINARY] == [
        "ResNet-18, binary",
        "QuickNet, binary",
        "ResNet-20, binary",
        "VGG-small, binary",
    ]


def test_the_float_resnet18_is_the_published_one():
    model = _plain_resnet18(224, 1000)
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trained == 11_689_512  # as torchvision counts it


def test_no_shift_or_slope_folds_away():
    model = as_if_trained(resnet20((32, 32, 3), 10, codewords=16))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) or "shift" in layer.name:
            for weight in layer.get_weights():
                assert np.unique(weight).size == weight.size, layer.name


@pytest.fixture
def result(monkeypatch):
    """A result of one network, in two runtimes."""
    from docs.generate import whole_networks

    timing = {
        **{"network": "a", "side": 224, "form": "lce", "runtime": "lce"},
        **{"median_ms": 10.0, "peak_memory_bytes": 2**20},
    }
    other = {**timing, "runtime": "delegate on litert", "median_ms": 1.0}
    made = {
        "environment": {
            **{"date": "2026-01-01", "commit": "0" * 12},
            **{"machine": {"cpu": "c", "cores": 2}, "versions": {"tensorflow": "2"}},
        },
        "setting": {"runs": 3},
        "networks": [{"network": "a", "side": 224, "top1": 61.26, "source": "b"}],
        "runs": {"1": [timing, other], "2": [timing, {**other, "median_ms": 0.5}]},
    }
    monkeypatch.setattr(whole_networks, "newest", lambda name: made)
    return whole_networks


def test_the_table_has_every_runtime(result):
    text = result.whole_networks()
    assert (
        "| a, 224x224 | LCE | LCE's interpreter | 61.3 | 10.00 | 10.00 | 1.00x | 1.0 |" in text
    )
    assert "| a, 224x224 | LCE | delegate | 61.3 | 1.00 | 0.50 | 2.00x | 1.0 |" in text


def test_the_figure_is_drawn(result, tmp_path):
    result.draw(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
