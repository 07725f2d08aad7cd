"""The armv7 wheel in tflite-runtime, with an emulated 32-bit Debian's Python and NumPy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from delegate.arm import emulate
from delegate.arm import sysroot as sysroots
from delegate.arm.architecture import ARMV7
from keras_sparsebnn.runtime import Interpreter
from tests.arm.conftest import build_wheel, finish

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
MODELS = ("lce_selected", "subbit_v1")

PREDICT = """
import json, platform, struct, sys
import numpy as np
from keras_sparsebnn.runtime import Interpreter
images = np.load(sys.argv[1])
told = {"machine": platform.machine(), "bits": 8 * struct.calcsize("P")}
for model in sys.argv[2:]:
    for kernel in ("codebook", "xnor"):
        interpreter = Interpreter(model, kernel=kernel, profile=True)
        outputs = interpreter.predict(images)
        kernels = [node["kernel"] for node in interpreter.profile()]
        told[f"{model} {kernel}"] = interpreter.runtime, kernels, outputs.tobytes().hex()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the emulated machine says and computes, in one process; and what it was given."""
    folder = sysroots.default_folder(ARMV7).resolve()
    if reason := emulate.missing(folder, ARMV7):
        pytest.skip(reason)
    work = tmp_path_factory.mktemp("armv7")
    wheel = build_wheel("armv7-linux", work)
    site = work / "site"
    sysroots.unpack(wheel, site)
    images = np.random.default_rng(3).normal(size=(5, 4, 4, 32)).astype(np.float32)
    np.save(work / "images.npy", images)
    python = emulate.python_command(folder, [site, folder / "site"], architecture=ARMV7)
    models = [str(GOLDEN / f"{name}.tflite") for name in MODELS]
    command = [*python, "-c", PREDICT, "images.npy", *models]
    shown = finish(command, cwd=work)  # away from the checkout, which it would import
    return images, json.loads(shown.splitlines()[-1])


def test_it_is_a_machine_of_32_bits(told):
    assert (told[1]["machine"], told[1]["bits"]) == ("armv7l", 32)


@pytest.mark.parametrize("kernel", ["codebook", "xnor"])
@pytest.mark.parametrize("name", MODELS)
def test_predicts_as_on_this_machine(told, name, kernel):
    images, said = told
    runtime, kernels, outputs = said[f"{GOLDEN / name}.tflite {kernel}"]
    assert runtime == "delegate on tflite-runtime"
    binary = [line for line in kernels if line.startswith(kernel)]
    assert len(binary) == 2
    assert all("scalar" in line for line in binary)
    here = Interpreter(GOLDEN / f"{name}.tflite", runtime="delegate").predict(images)
    assert np.ptp(here) > 1
    held = np.frombuffer(bytes.fromhex(outputs), here.dtype).reshape(here.shape)
    np.testing.assert_array_equal(held, here)
