"""Every method keeps its replicas equal, also those whose state changes in training."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.quantizers import METHODS, ChosenKernel

SCRIPT = Path(__file__).with_name("train_methods_mirrored.py")


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    out = tmp_path_factory.mktemp("mirrored") / "states.npz"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(out)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(out) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("method", [*sorted(METHODS), "free", "multi_bit"])
def test_replicas_agree(states, method):
    names = [n.removeprefix("start/") for n in states if n.startswith(f"start/{method}/")]
    assert f"{method}/selection" in names
    for name in names:
        np.testing.assert_array_equal(states[f"end0/{name}"], states[f"end1/{name}"])
    selection = states[f"end0/{method}/selection"]
    assert len(set(selection.tolist())) == len(selection)
    changed = set(selection) != set(states[f"start/{method}/selection"])
    learned = method in ("learned", "free", "snn", "multi_bit")
    chosen = learned or issubclass(METHODS[method], ChosenKernel)
    assert changed == chosen
