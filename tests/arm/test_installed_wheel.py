"""The AArch64 wheel with its [device] extra, in a Python that has nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn import __version__
from keras_sparsebnn.runtime import Interpreter

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
MODELS = ("lce_selected", "subbit_v1")

PREDICT = """
import json, sys
import numpy as np
from importlib.util import find_spec
from keras_sparsebnn.runtime import Interpreter
assert find_spec("tensorflow") is None and find_spec("larq_compute_engine") is None
images = np.load(sys.argv[1])
told = {}
for model in sys.argv[2:]:
    for kernel in ("codebook", "xnor"):
        interpreter = Interpreter(model, kernel=kernel, profile=True)
        np.save(f"{len(told)}.npy", interpreter.predict(images))
        kernels = [node["kernel"] for node in interpreter.profile()]
        told[f"{model} {kernel}"] = interpreter.runtime, kernels
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def predicted(site, run_guest, tmp_path_factory):
    """Per model and kernel: the runtime, the kernels and the output on the emulated machine."""
    folder = tmp_path_factory.mktemp("predicted")
    images = np.random.default_rng(3).normal(size=(5, 4, 4, 32)).astype(np.float32)
    np.save(folder / "images.npy", images)
    models = [GOLDEN / f"{name}.tflite" for name in MODELS]
    shown = run_guest(site, "-c", PREDICT, "images.npy", *models, cwd=folder)
    told = json.loads(shown.splitlines()[-1])
    return images, {
        (Path(key.split()[0]).stem, key.split()[1]): (*value, np.load(folder / f"{i}.npy"))
        for i, (key, value) in enumerate(told.items())
    }


@pytest.mark.parametrize("kernel", ["codebook", "xnor"])
@pytest.mark.parametrize("name", MODELS)
def test_predicts_as_on_this_machine(predicted, name, kernel):
    images, told = predicted
    runtime, kernels, held = told[name, kernel]
    assert runtime == "delegate on litert"
    binary = [line for line in kernels if line.startswith(kernel)]
    assert len(binary) == 2
    assert all("neon" in line for line in binary)
    here = Interpreter(GOLDEN / f"{name}.tflite", runtime="delegate").predict(images)
    assert np.ptp(here) > 1
    np.testing.assert_array_equal(held, here)


@pytest.mark.parametrize("name", MODELS)
def test_inspect_says_what_it_says_on_this_machine(site, run_guest, tmp_path, name):
    command = ["-m", "keras_sparsebnn", "inspect", str(GOLDEN / f"{name}.tflite")]
    here = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run_guest(site, *command, cwd=tmp_path) == here.stdout


def test_version_and_library(site, run_guest, tmp_path):
    code = (
        "import platform, keras_sparsebnn, keras_sparsebnn.runtime as runtime\n"
        "print(platform.machine(), keras_sparsebnn.__version__, runtime.delegate_library())"
    )
    machine, version, library = run_guest(site, "-c", code, cwd=tmp_path).split()
    assert (machine, version) == ("aarch64", __version__)
    assert Path(library) == site / "keras_sparsebnn/runtime/libsparsebnn_delegate.so"
